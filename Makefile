# Whatsam from a checkout. Needs Linux, make and Python 3.11 or newer; everything else is fetched into .venv and
# ~/.cache. `make help` lists the targets.

SHELL := /bin/sh
BIN := .venv/bin
LOCAL := $(BIN)/whatsam-local
PYTEST := $(BIN)/pytest

.DEFAULT_GOAL := help
.PHONY: help venv demo up down status logs build test test-unit test-flow test-go test-engine-race test-cluster test-e2e test-live \
	test-faults bench lint format crds docs clean

help: ## this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		awk -F '\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

demo: venv ## start a cluster and show the main job: pair, talk, lose the pod, talk on
	@$(LOCAL) demo

up: venv ## start the cluster (WHATSAPP=real: without the simulator, for a genuine phone)
	@$(LOCAL) up

down: venv ## end the cluster and remove its data (KEEP=1: keep the data for the next `make up`)
	@$(LOCAL) down

status: venv ## which parts run, which are dead, where the doors and logs are
	@$(LOCAL) status

logs: venv ## the last lines of a part's log: make logs PART=apiserver (FOLLOW=1: and what comes)
	@$(LOCAL) logs $(if $(FOLLOW),--follow) $(PART)

build: venv ## build the control plane and the engine in Go now (8-9 minutes the first time, then they are cached)
	@$(LOCAL) build

test: lint test-unit test-flow test-go build test-live ## everything: lint and all levels of tests; leaves the cluster as found

test-unit: venv ## fast tests without anything running
	$(PYTEST) tests/unit -n $(or $(WORKERS),2) --dist loadfile

# These wait more than they compute: three at a time fill two cores. Tests of one file share servers and stay together.
test-flow: venv ## tests of one part with its real neighbours faked or alone
	$(PYTEST) tests/flow -n $(or $(WORKERS),3) --dist loadfile

test-go: venv ## vet, staticcheck and tests of the engine in Go, with the race detector where there is a C compiler
	@sh engine-go/test.sh "$$($(LOCAL) go)"

test-engine-race: venv ## the flow tests of the engine in Go with its race detector on (needs a C compiler)
	WHATSAM_ENGINE_RACE=1 $(PYTEST) tests/flow/connector_engine -k whatsmeow -n $(or $(WORKERS),2) --dist loadfile

test-cluster: venv ## tests against a real API server (uses the running cluster, or one of its own)
	$(PYTEST) tests/cluster

test-e2e: venv ## tests of everything together (uses the running cluster, or one of its own)
	$(PYTEST) tests/e2e

test-live: venv ## test-cluster and test-e2e on one cluster
	$(PYTEST) tests/cluster tests/e2e

test-faults: venv ## tests that break parts of the cluster on purpose
	$(PYTEST) -m faults tests

bench: venv ## measure: make bench SCENARIO=pairing (without SCENARIO: all)
	$(BIN)/python -m bench $(SCENARIO)

lint: venv ## style, types, layers, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: venv ## put the code into the house's form
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

crds: venv ## generate crds/ from the models
	$(BIN)/python -m whatsam_core.crd crds

docs: venv ## generate docs/configuration.md from the settings classes, docs/engines-compared.md from the tests' table
	$(BIN)/python -m whatsam_local.settings_page docs/configuration.md
	$(BIN)/python tests/flow/connector_engine/engine_differences.py docs/engines-compared.md

clean: ## end the cluster, remove .venv, .local and caches (the built control plane stays in ~/.cache)
	@if [ -x $(LOCAL) ]; then $(LOCAL) down; fi
	rm -rf .venv .local .pytest_cache .ruff_cache .hypothesis .import_linter_cache

venv: # the virtual environment, made anew when pyproject.toml has changed
	@sh local/venv.sh
