# Everything is set up in .venv/; only Python 3.11 and make are needed. `make help` lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
WF := $(VENV)/bin/wf
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help train test check corpus fuzz fuzzserver faults together soak format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

train: $(VENV)/ready-wf ## set everything up and train the recommender: workflows/train-model.yaml
	@test "$$($(WF) doctor --backend)" = docker || $(MAKE) --no-print-directory $(VENV)/ready-steps
	@$(WF) run workflows/train-model.yaml

test: check ## set everything up and run all tests
	@$(VENV)/bin/pytest

faults: $(VENV)/ready-dev ## kill runs at random moments and resume them: RUNS=200 SEED=n
	@$(VENV)/bin/python -m tests.faults --runs $(or $(RUNS),200) $(if $(SEED),--seed $(SEED))

together: $(VENV)/ready-dev ## 8 runs of overlapping workflows at once: RUNS=50 SEED=n
	@$(VENV)/bin/python -m tests.concurrency --times $(or $(RUNS),50) $(if $(SEED),--seed $(SEED))

soak: $(VENV)/ready-dev ## load on a deployment while everything happens to it: SECONDS=600
	@$(VENV)/bin/python -m tests.soak --seconds $(or $(SECONDS),600)

check: $(VENV)/ready-dev ## formatting, lint and types
	@$(VENV)/bin/ruff format --quiet --check . || { echo "run 'make format'"; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy

corpus: $(VENV)/ready-dev ## run every workflow of tests/gradient/corpus in Docker, not only the few that the tests run
	@WF_REQUIRE_DOCKER=1 WF_CORPUS=whole $(VENV)/bin/pytest tests/gradient/test_corpus.py

fuzz: $(VENV)/ready-dev ## change workflow files at random, SECONDS=3600, and see that nothing breaks
	@$(VENV)/bin/python -m tests.fuzz.workflows --seconds $(or $(SECONDS),3600)

fuzzserver: $(VENV)/ready-dev ## change requests to the model server at random, SECONDS=3600, and see that it goes on
	@$(VENV)/bin/python -m tests.fuzz.serving --seconds $(or $(SECONDS),3600)

format: $(VENV)/ready-dev ## format the code and mend what lint can mend
	@$(VENV)/bin/ruff check --quiet --fix .
	@$(VENV)/bin/ruff format --quiet .

clean: ## remove the virtual environment and caches; runs under .wf/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wf needs Python 3.11 or newer, not " + sys.version)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/ready-wf: pyproject.toml | $(VENV)/bin/python
	@echo "installing wf"
	@$(PIP) -e .
	@touch $@

$(VENV)/ready-steps: pyproject.toml | $(VENV)/ready-wf
	@echo "installing what the steps need, TensorFlow among it (about 2 GB, some minutes)"
	@$(PIP) -e '.[steps]'
	@touch $@

$(VENV)/ready-dev: pyproject.toml | $(VENV)/ready-steps
	@echo "installing what the tests need"
	@$(PIP) -e '.[steps,serving,dev]'
	@touch $@
