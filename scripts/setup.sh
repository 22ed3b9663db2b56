#!/usr/bin/env bash
# Puts what this project needs into .venv: `scripts/setup.sh run` what it takes to run, `dev` what it takes to test as well.
# Versions and hashes are those of requirements/. Called by the Makefile; can be repeated at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
venv=.venv
python=$venv/bin/python

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if is_new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "no Python 3.11 or newer was found${PYTHON:+ at $PYTHON}." \
        "On Debian or Ubuntu: apt-get install python3 python3-venv. Elsewhere: set PYTHON=/path/to/python3."
}

# Debian's python3 comes without the part of venv that installs pip (package python3-venv), and often without pip.
make_venv() {
    local base=$1
    rm -rf "$venv"
    if "$base" -c 'import ensurepip' 2>/dev/null; then
        "$base" -m venv "$venv"
    elif command -v uv >/dev/null; then
        uv venv --quiet --seed --python "$base" "$venv"
    elif "$base" -m pip --version >/dev/null 2>&1; then
        "$base" -m venv --without-pip "$venv"
        "$base" -m pip --python "$python" install --quiet --require-hashes -r requirements/uv.txt
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "this Python cannot make virtual environments; installing Debian's python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$(venv_package "$base")" >/dev/null
        "$base" -m venv "$venv"
    else
        fail "$base cannot make virtual environments: its venv package is missing." \
            "Run: sudo apt-get install $(venv_package "$base")   and then the same command again."
    fi
}

venv_package() { "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'; }

find_uv() {
    if [ ! -x "$venv/bin/uv" ] && command -v uv >/dev/null; then
        command -v uv
        return
    fi
    [ -x "$venv/bin/uv" ] || "$python" -m pip install --quiet --require-hashes -r requirements/uv.txt
    echo "$venv/bin/uv"
}

# uv does not read pip's configuration. Whoever has told pip of a mirror means it for us too.
follow_pip_configuration() {
    "$python" -m pip --version >/dev/null 2>&1 || return 0
    local index extra links certificate
    index=${PIP_INDEX_URL:-$(pip_setting index-url)}
    extra=${PIP_EXTRA_INDEX_URL:-$(pip_setting extra-index-url)}
    links=${PIP_FIND_LINKS:-$(pip_setting find-links)}
    certificate=${PIP_CERT:-$(pip_setting cert)}
    if [ -z "${UV_INDEX_URL:-}${UV_DEFAULT_INDEX:-}" ] && [ -n "$index" ]; then export UV_DEFAULT_INDEX=$index; fi
    if [ -z "${UV_EXTRA_INDEX_URL:-}${UV_INDEX:-}" ] && [ -n "$extra" ]; then export UV_INDEX=$extra; fi
    if [ -z "${UV_FIND_LINKS:-}" ] && [ -n "$links" ] && [ -d "$links" ]; then export UV_FIND_LINKS=$links; fi
    if [ -z "${SSL_CERT_FILE:-}" ] && [ -f "$certificate" ]; then export SSL_CERT_FILE=$certificate; fi
}

pip_setting() { "$python" -m pip config get "install.$1" 2>/dev/null || "$python" -m pip config get "global.$1" 2>/dev/null || true; }

began=$SECONDS
# A virtual environment that was made at another path has scripts that point there.
if [ "$(cat "$venv/.place" 2>/dev/null || echo "$PWD")" != "$PWD" ] || ! is_new_enough "$python"; then
    base=$(find_python)
    say "making $venv with $("$base" --version)"
    make_venv "$base"
fi
echo "$PWD" >"$venv/.place"

uv=$(find_uv)
follow_pip_configuration
say "installing the locked packages (requirements/$kind.txt)"
"$uv" pip install --quiet --python "$python" --require-hashes -r "requirements/$kind.txt"
# The package itself, without a look at the network: what builds it is among the locked packages.
"$uv" pip install --quiet --python "$python" --no-deps --no-build-isolation --offline -e .
touch "$venv/.ready-run"
if [ "$kind" = dev ]; then touch "$venv/.ready-dev"; fi
say "ready after $((SECONDS - began)) s"
