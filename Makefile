# make run and make test set up what they need, in .venv, and start at once when it is there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SAMPLES ?= samples/name.wav samples/voice-ai.wav
ARGS ?=

BIN := .venv/bin
RUN_READY := .venv/.ready-run
DEV_READY := .venv/.ready-dev

# A virtual environment holds absolute paths: one that was made elsewhere is made anew.
ifneq ($(shell cat .venv/.place 2>/dev/null),$(CURDIR))
$(RUN_READY) $(DEV_READY): FORCE
endif

.PHONY: help run test test-conformance test-peers check fix lock clean FORCE

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

run: $(RUN_READY) ## start the server and hold a spoken sample conversation with it (SAMPLES="a.wav b.wav", ARGS="--port 8001")
	@$(BIN)/voice-agent serve $(addprefix --demo ,$(SAMPLES)) $(ARGS)

test: check ## all checks and all tests (ARGS for pytest)
	@$(BIN)/voice-agent models fetch --all-embedded
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

test-conformance: $(DEV_READY) ## real clients of the Realtime protocol against the running server (part of make test)
	@$(BIN)/voice-agent models fetch --all-embedded
	$(BIN)/pytest tests/conformance $(ARGS)

test-peers: $(DEV_READY) ## the same with LiveKit's and pipecat's clients, each in an environment of its own (0.6 GB)
	@$(BIN)/voice-agent models fetch --all-embedded
	@scripts/peers.sh
	$(BIN)/pytest tests/conformance/peers/check_peers.py $(ARGS)

check: $(DEV_READY) ## style, types and the layers of the architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(DEV_READY) ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(DEV_READY) ## write requirements/ anew from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@scripts/lock.sh $(UPGRADE)

clean: ## remove the virtual environment and caches, not the weights
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(RUN_READY): requirements/run.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh run

$(DEV_READY): requirements/dev.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev
