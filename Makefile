# Targets set up .venv/ first if that has not been done. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready

# Compose v2 (docker compose) or v1 (docker-compose).
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) \
  --env-file .env --file infra/docker-compose.yml

.DEFAULT_GOAL := help
.PHONY: help setup docs wheel demo local contract check test budget lint format lock hooks env up down logs backup restore verify backfill ingest train drift dashboard \
        pipeline notebooks grafana client clean

help:            ## list the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(READY)  ## install everything into .venv/

# requirements.txt pins every extra; an installation takes the subset it needs, with hashes checked.
$(READY): requirements.txt requirements-uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 13) else \
	  f"Python 3.11 to 3.13 is needed, {v[0]}.{v[1]} was found; run make PYTHON=python3.11 ...")'
	@$(MAKE) --no-print-directory uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes \
	  --constraints requirements.txt --requirements pyproject.toml --extra dev
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

# Does not depend on $(READY): `lock` must work while requirements.txt does not match pyproject.toml yet.
.PHONY: uv
uv:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.txt

demo: $(READY)   ## run the whole loop on synthetic data: no key, no Docker, no network
	$(BIN)/energy-demand demo

local: $(READY)  ## run API, dashboard, MLflow, Prefect and its worker on this machine, without Docker
	$(BIN)/energy-demand local

contract: $(READY) ## ask the real upstreams (network, EIA_API_KEY), and compare the sandbox with their answers
	@rm -rf recorded
	$(BIN)/energy-demand doctor --only upstreams --record recorded
	DOCTOR_RECORDED=recorded $(BIN)/python -m pytest -q --numprocesses 0 tests/doctor/test_recorded_contract.py

check: $(READY)  ## the tests that start no process and train no model, for every save
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not processes and not fits" $(PYTEST_ARGS)

test: $(READY)   ## run all tests, on a real PostgreSQL and a real sandbox
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

budget: $(READY) ## run all tests and record the seconds of each file in tests/budget.json
	$(MAKE) --no-print-directory test PYTEST_ARGS=--record-budget

lint: $(READY)   ## check style, types, import layers, images, Compose, workflows
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/hadolint infra/Dockerfile.* infra/verify/Dockerfile.*
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec \
	  infra/docker-compose.yml infra/verify/docker-compose.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github
	@! command -v docker-compose > /dev/null || env $$(sed -n 's/.*$${\([A-Z_]*\):?.*/\1=any/p' infra/docker-compose.yml) \
	  docker-compose --env-file .env.example --file infra/docker-compose.yml config --quiet

format: $(READY) ## fix and format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(READY)  ## install pre-commit hooks that run CI's checks
	$(BIN)/pre-commit install

lock: uv         ## resolve pyproject.toml into requirements.txt, with hashes
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-emit-package energy-demand \
	  --quiet --output-file requirements.txt
	echo 'uv==0.13.9' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --quiet --output-file requirements-uv.txt

# The containers. `make env SANDBOX=1` sets up a system without a key, on synthetic data.
env:             ## write .env for Compose, with random passwords (SANDBOX=1: no key, synthetic data)
	@$(PYTHON) infra/new_env.py $(if $(SANDBOX),--sandbox)

up:              ## start the whole system in containers; needs Docker and .env
	@test -f .env || { echo '.env does not exist; run `make env`, then set EIA_API_KEY in it' >&2; exit 1; }
	@$(PYTHON) infra/check_contact.py
	DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 $(COMPOSE) up --detach --build
	infra/wait-healthy.sh 300 $(COMPOSE)

down:            ## stop the containers; data, models and settings are kept
	$(COMPOSE) down

logs:            ## follow the containers' logs
	$(COMPOSE) logs --follow --tail 100

backup:          ## save the containers' data to a new folder: make backup TO=FOLDER
	infra/state.sh backup "$(TO)" $(COMPOSE)

restore:         ## replace the containers' data by a backup: make restore FROM=FOLDER
	infra/state.sh restore "$(FROM)" $(COMPOSE)

verify: $(READY) ## build all images and test the whole system without a registry; needs root, Docker, debootstrap
	$(BIN)/python infra/verify/verify.py

docs: $(READY)   ## build the documentation's site into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

wheel: $(READY)  ## build the package's wheel into dist/
	$(BIN)/python -m hatchling build -t wheel -d dist

backfill: $(READY) ## fetch history, e.g. make backfill START=2019-01-01 END=2025-07-31
	$(BIN)/energy-demand backfill --start $(START) --end $(END)

ingest: $(READY) ## fetch new data and revisions
	$(BIN)/energy-demand ingest

train: $(READY)  ## train a model, and promote it if it passes the contest
	$(BIN)/energy-demand train

drift: $(READY)  ## check for drift, and retrain if the policy asks for it
	$(BIN)/energy-demand drift

dashboard: $(READY) ## serve the dashboard: forecasts, model quality, drift, decisions
	$(BIN)/energy-demand dashboard

pipeline: $(READY) ## ingest, features, train, evaluate with DVC; reruns only what changed
	$(BIN)/dvc repro

notebooks: $(READY) ## run all four notebooks and render them into docs/notebooks/
	$(BIN)/python notebooks/render.py

grafana: $(READY) ## write Grafana's dashboard after a change of infra/grafana/write_dashboard.py
	$(BIN)/python infra/grafana/write_dashboard.py

client: $(READY) ## write the client's types after a change of the service's addresses or answers
	$(BIN)/python clients/python/write_types.py

clean:           ## remove .venv/ and caches; data and models are kept
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
