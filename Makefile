# Everything a developer or CI does, by name. `make help` lists it.
# Each target makes .venv from the lock by itself; the second time that costs nothing.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest

# Compiled modules are kept, whatever the environment says: a command that starts a hundred times
# would compile what it imports a hundred times, for seconds each.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pycache
unexport PYTHONDONTWRITEBYTECODE

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url

define NEXT

How to go on:
  .venv/bin/llmops chat demo            talk to it
  .venv/bin/llmops status demo          what runs, and when it last answered
  .venv/bin/llmops keys create demo -k me   a key for your own client
  .venv/bin/llmops init my-service      a file of your own
  .venv/bin/llmops destroy demo         take it away
docs/tutorial.md tells the rest. Run `make demo` again: it finds that nothing changed.
endef
export NEXT

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-core test-served test-engines test-vllm test-long test-pulumi test-clocked test-kubernetes test-pods engines
.PHONY: check bench lock clean
.PHONY: check-format check-lint check-types check-imports check-house check-generated

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Make .venv with llmops and the engines of this machine
$(READY): requirements/local.txt requirements/uv.txt requirements/install.sh pyproject.toml
	@echo "installing into .venv (once, some GB) ..."
	@PYTHON=$(PYTHON) sh requirements/install.sh
	@touch $@

demo: $(READY) ## Serve a real model here and ask it something
	@$(BIN)/llmops deploy -f examples/demo/llmops.yaml --yes
	@echo
	@$(BIN)/llmops chat demo "What is the capital of France?" --temperature 0
	@echo "$$NEXT"

test: test-core test-served ## All tests but the heavier tier; starts a real Ray and vLLM

test-core: $(READY) ## The tests that start no engine, on all cores
	@$(PYTEST) --numprocesses auto --dist loadfile --no-loadscope-reorder \
	    -m "not engines and not e2e and not kubernetes"

test-served: $(READY) ## Of the rest, those on one real service
	@$(PYTEST) -m "e2e and not engines and not kubernetes"

test-engines: test-vllm test-kubernetes ## The heavier tier: real engines, a real API server

test-vllm: $(READY) ## Of it: kills, races, the real demo model
	@$(PYTEST) -m "engines and not clocked and not long"

test-long: engines ## Of the heavier tier: what takes more time than CI has
	@$(PYTEST) -m "long and not clocked and not pulumi and not kubernetes"
	@$(BIN)/python -m tests.kubernetes.namespace -- $(PYTEST) -m "kubernetes and long" tests/kubernetes

test-pulumi: $(READY) ## Stacks on the real engine, over a provider that plays AWS: needs the `pulumi` program
	@$(PYTEST) -m pulumi tests/infra/real

test-clocked: $(READY) ## What is held against a clock, for a quiet machine: outside of CI
	@$(PYTEST) -m clocked

test-kubernetes: engines ## Of it: on a real API server, in a network that nothing leaves
	@$(BIN)/python -m tests.kubernetes.namespace -- $(PYTEST) \
	    -m "kubernetes and not pods and not long" tests/kubernetes

test-pods: engines ## Kubernetes with real Ray and vLLM in its pods: ten minutes, outside of CI
	@$(BIN)/python -m tests.kubernetes.namespace -- $(PYTEST) -m pods tests/kubernetes

engines: $(READY) ## Find or build Kubernetes for the tests (once, 7 min of two cores, 6 GB)
	@$(BIN)/python -m tests.engines.programs

check: check-format check-lint check-types check-imports check-generated check-house ## Format, lint, types, import contract, doors, pages, examples

check-format: $(READY)
	@$(BIN)/ruff format --check --quiet .

check-lint: $(READY)
	@$(BIN)/ruff check --quiet .

check-types: $(READY)
	@$(BIN)/mypy

check-imports: $(READY)
	@$(BIN)/lint-imports --no-cache

check-generated: $(READY)
	@$(BIN)/python -m llmops.spec.generate --check
	@$(BIN)/python -m llmops.policies.generate --check
	@$(BIN)/python -m llmops.finetuning.generate --check
	@$(BIN)/python -m bare_metal.inventory.generate --check
	@$(BIN)/python -m cli.reference --check
	@$(BIN)/python -m serving.versions --check
	@$(BIN)/python -m tests.chaos.safety --check

check-house: $(READY)
	@$(PYTEST) --durations=0 --durations-min=5 tests/house

bench: $(READY) ## Measure start, throughput and latency beside bare vLLM
	@$(BIN)/python -m benchmarks.help
	@$(BIN)/python -m benchmarks.planner
	@$(BIN)/python -m benchmarks.startup
	@$(BIN)/python -m benchmarks.throughput

lock: ## Choose versions anew within pyproject.toml's bounds (needs uv)
	@$(LOCK) --upgrade --extra local --extra kubernetes --extra aws --extra s3 --extra finetune --extra metal --group dev pyproject.toml -o requirements/local.txt
	@for f in cpu:local gpu:gpu; do to=clusters/image/locks/$${f%%:*}.txt; cp requirements/local.txt $$to; \
	  $(LOCK) --extra $${f##*:} --extra s3 --extra gcs pyproject.toml -o $$to || exit 1; done
	@$(BIN)/python -m serving.versions

clean: ## Remove .venv, caches and build outputs (destroy your services first)
	rm -rf .venv .cache build dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
