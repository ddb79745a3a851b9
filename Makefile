# Every target sets up .venv/ first when that has not been done. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format lock backfill ingest train drift dashboard clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(READY)  ## install everything into .venv/

# The lock holds every extra; a set-up takes the subset it needs, each file checked against its hash.
$(READY): requirements.txt requirements-uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 13) else \
	  f"Python 3.11 to 3.13 is needed, {v[0]}.{v[1]} was found; run make PYTHON=python3.11 ...")'
	@$(MAKE) --no-print-directory uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes \
	  --constraints requirements.txt --requirements pyproject.toml --extra dev
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

# Not a file that make looks for: `lock` must work where the lock does not fit pyproject.toml yet.
.PHONY: uv
uv:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.txt

demo: $(READY)   ## the whole loop on synthetic data, with no key and no network
	$(BIN)/energy-demand demo

test: $(READY)   ## all tests, on a real PostgreSQL and a real sandbox
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: $(READY)   ## style, types, the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

format: $(READY) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: uv         ## resolve pyproject.toml anew into requirements.txt, with hashes
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-emit-package energy-demand \
	  --quiet --output-file requirements.txt
	echo 'uv==0.13.9' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --quiet --output-file requirements-uv.txt

backfill: $(READY) ## history, e.g. make backfill START=2019-01-01 END=2025-07-31
	$(BIN)/energy-demand backfill --start $(START) --end $(END)

ingest: $(READY) ## what is new
	$(BIN)/energy-demand ingest

train: $(READY)  ## train, judge, promote
	$(BIN)/energy-demand train

drift: $(READY)  ## look for drift, retrain where that is decided
	$(BIN)/energy-demand drift

dashboard: $(READY) ## forecasts, model quality, drift and decisions in a browser
	$(BIN)/energy-demand dashboard

clean:           ## remove .venv/ and caches; data and models stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
