#!/usr/bin/env bash
# Puts LiveKit's and pipecat's clients into environments of their own, .venv-peers/<name>: their requirements do not go
# together with ours. Done once per lock file; called by `make test-peers`.
set -euo pipefail
cd "$(dirname "$0")/.."

for name in livekit pipecat; do
    venv=.venv-peers/$name
    lock=requirements/conformance-$name.txt
    if cmp -s "$lock" "$venv/lock.txt"; then continue; fi
    echo "setup: making $venv"
    rm -rf "$venv"
    .venv/bin/python -m venv --without-pip "$venv"
    .venv/bin/python -m pip --python "$venv/bin/python" install --quiet --require-hashes -r "$lock"
    cp "$lock" "$venv/lock.txt"
done
