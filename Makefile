# Everything one does in this repository. It needs make and Python 3.11 or newer; environments are made on first use under .cache/.
#   make test PYTHON=python3.12        another interpreter (a version, a command or a path)
#   make test ARGS="tests/unit -k cli" other arguments for pytest

PORT ?= 8000
HOST ?= 127.0.0.1
PYTHONS ?= $(or $(PYTHON),auto)
SUPPORTED := 3.13 3.11
WORKERS ?= 2
ARGS ?=
ENVIRONMENT := python3 tools/environment.py
PYTEST := -m pytest -n $(WORKERS) --dist loadfile
# `$(call each,VERSIONS,COMMAND)` runs COMMAND with $$py set to the interpreter of the dev environment of each version.
each = set -e; for version in $(1); do py=$$($(ENVIRONMENT) ensure dev $${version\#auto}); echo "== $$($$py -V)"; $(2); done

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format golden autobahn differential fuzz soak bench bench-idle bench-startup bench-micro bench-compare bench-scale bench-lock conformance ecosystem ecosystem-openapi docs lock \
  env clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## serve the reference application (PORT=8000, HOST=127.0.0.1); it says where it listens once it does
	@py=$$($(ENVIRONMENT) ensure demo $(PYTHON)) && exec $$py -m tercel run demo.app:app --host $(HOST) --port $(PORT) $(ARGS)

test: ## the whole test suite on one Python (3.13 if it is here); PYTHONS="3.11 3.13" for several, ARGS for pytest
	@$(call each,$(PYTHONS),$$py $(PYTEST) $(ARGS))

test-all: ## the whole test suite on every supported Python that CI has
	@$(MAKE) --no-print-directory test PYTHONS="$(SUPPORTED)"

check: ## lint, format, types (mypy, pyright), who may import whom, generated sources
	@$(call each,$(firstword $(PYTHONS)),sh tools/check.sh $$py)

format: ## let ruff format and mend what it can
	@$(call each,$(firstword $(PYTHONS)),$$py -m ruff format .; $$py -m ruff check --fix .)

golden: ## rewrite the golden sources in tests/generated; review the diff like code
	@$(call each,$(firstword $(PYTHONS)),TERCEL_GOLDEN=write $$py -m pytest -q tests/generated)

docs: ## run every example in docs/ and README.md
	@$(call each,$(firstword $(PYTHONS)),$$py $(PYTEST) tests/docs $(ARGS))

conformance: ## FastAPI's own test suite on Tercel (PYTHON=3.11, ENGINE=interpreted, ARGS="tests/test_sse.py")
	@python3 -m tools.conformance $(ARGS)

ecosystem: ## other packages' test suites on FastAPI and on Tercel, compared; docs/ecosystem.md (ONLY="cadwyn svcs", ENGINE=interpreted)
	@python3 -m tools.ecosystem $(if $(ONLY),--only "$(ONLY)") $(ARGS)

ecosystem-openapi: ## real applications on FastAPI and on Tercel: OpenAPI documents byte by byte, answers of the running program (ONLY=...)
	@python3 -m tools.ecosystem openapi $(if $(ONLY),--only "$(ONLY)") $(ARGS)

differential: ## the same byte streams to Tercel, uvicorn, granian and hypercorn; docs/server-differences.md (ARGS=lock: their locks)
	@$(call each,$(firstword $(PYTHONS)),$$py -m tools.differential $(ARGS))

autobahn: ## the Autobahn test suite against Tercel's WebSockets (needs a Python 2.7; CASES="9.* 12.1.*" for others)
	@python3 -m tools.autobahn $(CASES)

fuzz: ## coverage-guided fuzzing of protocol, frames, forms, parameters (TIME=60 seconds each, ONLY="http chunked")
	@python3 -m tools.fuzz --time $(or $(TIME),60) $(ONLY)

soak: ## 100,000 requests of every kind, twice measured: nothing may stay of them (REQUESTS=100000, ONLY="compiled pure uvicorn")
	@$(call each,$(firstword $(PYTHONS)),$$py -m tools.soak $(if $(REQUESTS),--requests $(REQUESTS)) $(ONLY))

bench-idle: ## what 10,000 idle connections and WebSockets cost in memory, with both protocols (COUNT=10000)
	@$(call each,$(firstword $(PYTHONS)),$$py -m tools.soak.idle $(if $(COUNT),--count $(COUNT)) $(ARGS))

bench: ## Tercel against its peers (ONLY="tercel fastapi" WORK="W1 W2" ROUNDS=4 SECONDS=1; ARGS=--check only verifies)
	@$(call each,$(firstword $(PYTHONS)),$$py bench/run.py $(if $(ONLY),--only "$(ONLY)") $(if $(WORK),--work "$(WORK)") \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS))

bench-startup: ## start-up and memory with 10 to 1,000 routes, one request among up to 10,000 (ROUNDS=5)
	@$(call each,$(firstword $(PYTHONS)),$$py bench/startup.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS))

bench-micro: ## match, take, resolve and render beside the same done by hand, in time and instructions (ROUNDS=5)
	@$(call each,$(firstword $(PYTHONS)),$$py bench/micro.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS))

bench-compare: ## this checkout and another revision in one run (BASE=main~5 WORK="W1 H12" ROUNDS=5 SECONDS=1; WORK=none: stages only)
	@$(if $(BASE),,$(error say which revision: make bench-compare BASE=main~5))$(call each,$(firstword $(PYTHONS)),\
	  $$py bench/compare.py "$(BASE)" $(if $(WORK),--work "$(WORK)") $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS))

bench-scale: ## 1 and 2 workers, 10 to 10,000 connections, memory of an idle connection (ONLY="tercel" ROUNDS=2 SECONDS=2)
	@$(call each,$(firstword $(PYTHONS)),$$py bench/scale.py $(if $(ONLY),--only "$(ONLY)") \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS))

bench-lock: ## rewrite the locks of the benchmark's peers
	@$(call each,$(firstword $(PYTHONS)),$$py -c "from bench.environments import write_locks; write_locks()")

lock: ## rewrite requirements/ from pyproject.toml (UPGRADE=1 takes newer versions too)
	@$(ENVIRONMENT) lock $(if $(UPGRADE),--upgrade)

env: ## make the development environment and print its interpreter
	@$(ENVIRONMENT) ensure dev $(PYTHON)

clean: ## remove environments, caches and build results
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find tercel tests demo bench tools examples docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
