# Everything one does with this project. `make` alone lists it. Only `make` is needed to begin: the first target that needs Python
# makes .venv from the pinned, hashed requirements, and makes it anew when those change.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

DATA ?= foreman-data
SEEDS ?= 100000
ROUNDS ?= 200
JOBS ?= 2
ARGS ?=
BENCH_PEERS ?= $(HOME)/.cache/foreman-bench-peers
export BENCH_PEERS

PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal

.PHONY: help run demo demo-cluster test check lint format bench bench-data bench-recovery bench-control bench-peers docs simulate soak pins system clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1mmake %-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Run a node here until Ctrl-C (DATA=directory, ARGS="--listen …")
	@$(BIN)/foreman up --data "$(DATA)" $(ARGS)

demo: $(READY) ## Real files through logs and storage workers while everything is killed on the way
	@$(BIN)/foreman demo $(ARGS)

demo-cluster: $(READY) ## The same on three nodes and etcd: a machine is pulled out, and comes back
	@.ci/debian-packages etcd-server
	@$(BIN)/foreman demo --cluster $(ARGS)

test: $(READY) system lint ## Everything: lint, types, layers, and all tests (under 12 minutes on 2 cores)
	@$(PYTEST) $(ARGS)

check: $(READY) lint ## The same without the slow tests (under 2 minutes)
	@$(PYTEST) -m "not slow" $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --check; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@mkdir -p .cache
	@$(BIN)/lint-imports --no-logo > .cache/layers.txt || { cat .cache/layers.txt; exit 1; }
	@echo "lint, types and layers: clean"

format: $(READY) ## Put the code into the house's form
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

bench: $(READY) ## Measure this node beside its peers and the bare kernel: JSON, table, chart (ARGS=--quick, ARGS=--scale)
	@$(BIN)/python -m benchmarks.run $(ARGS)

bench-data: $(READY) ## Measure log and storage workers beside redis-server: a table (ARGS="--rounds 5", ARGS=--no-docs)
	@$(BIN)/python -m benchmarks.data_plane $(ARGS)

bench-recovery: $(READY) ## Measure how long a cluster takes no pushes after a lost log and a lost node (ARGS="--rounds 5", ARGS=--no-docs)
	@$(BIN)/python -m benchmarks.recovery $(ARGS)

bench-control: $(READY) ## Count what controlling simulated clusters of 10, 100 and 1,000 nodes costs (ARGS="--nodes 10 100", ARGS=--no-docs)
	@$(BIN)/python -m benchmarks.control $(ARGS)

bench-peers: $(READY) ## Install the peers to measure against, outside this repository (BENCH_PEERS=directory)
	@$(BIN)/python -m benchmarks.install $(ARGS)

docs: $(READY) ## Write anew the pages and diagrams that are made from tables in the code
	@$(BIN)/python docs/generate.py $(ARGS)

simulate: $(READY) ## Run the seeded simulator (SEEDS=100000; ARGS=--cluster: of whole clusters)
	@$(BIN)/python -m foreman.testing.simulate --seeds $(SEEDS) $(ARGS)

soak: $(READY) ## Kill a log under load at random moments, ROUNDS=200 of them (four minutes); each seed of FOREMAN_KILL_SEED is another run
	@FOREMAN_KILL_ROUNDS=$(ROUNDS) $(BIN)/pytest tests/workers/log/test_kills.py $(ARGS)

pins: $(READY) ## Resolve the pinned requirements anew (ARGS=--upgrade for newer releases)
	@$(BIN)/uv pip compile $(ARGS) --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make pins" pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile $(ARGS) --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make pins" --extra dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt

system: ## Install the Debian packages that the tests use, where that is allowed
	@.ci/debian-packages redis-server redis-tools etcd-server etcd-client faketime strace e2fsprogs iproute2 acl procps curl jq openssl

clean: ## Remove the virtual environment, caches and benchmark results (never a node's data)
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Foreman needs Python 3.11 or newer; set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/debian-packages python3-venv
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the pinned requirements into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
