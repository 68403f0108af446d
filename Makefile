# Segue, verb by verb in the order of the line. `make help` prints what each does.
# Settings: LOGS, RECIPE, AS_OF, CHANNELS here; SEGUE_HOME and SEGUE_*_PORT in the environment (config/settings.py).

RECIPE ?= small
LOGS ?=
AS_OF ?=
CHANNELS ?=
ONLY ?=
ROWS ?=
STUDY ?=
SEEDS ?= 1
USERS ?= 1000
TRACKS ?= 8000
DAYS ?= 60
SEED ?= 7

PYTHON ?= python3.11
BIN := .venv/bin
SEGUE_HOME ?= var
export SEGUE_HOME
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What a person gives is passed as one word and never read by the shell as anything else.
quoted = '$(subst ','\'',$(1))'
ASKED = --logs $(call quoted,$(LOGS)) --recipe $(call quoted,$(RECIPE)) --as-of $(call quoted,$(AS_OF)) --channels $(call quoted,$(CHANNELS))

.DEFAULT_GOAL := help
.PHONY: setup simulate run pipeline serve stop test lint acceptance bench study docs screenshots clean lock help

setup: .venv/stamp ## Make .venv with everything in requirements.lock (nothing to do when unchanged)

simulate: setup ## Make a simulated listening world in SEGUE_HOME/simulated/own (USERS, TRACKS, DAYS, SEED)
	@$(BIN)/python -m ingestion.simulate --users $(USERS) --tracks $(TRACKS) --days $(DAYS) --seed $(SEED) --out $(call quoted,$(SEGUE_HOME)/simulated/own)

run: setup ## The whole line in Airflow, services up, one answer printed (LOGS, RECIPE, AS_OF, CHANNELS)
	@$(BIN)/python -m local.run $(ASKED)

pipeline: setup ## The same tasks in order without a scheduler (LOGS, RECIPE, AS_OF, CHANNELS)
	@$(BIN)/python -m local.pipeline $(ASKED)

serve: setup ## Start the services that do not run yet: Airflow, recommender, MLflow, pages
	@$(BIN)/python -m local.services start

stop: ## End every service of SEGUE_HOME with all that it started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local.services stop; fi

test: setup lint .venv/spark ## Lint, then every test, the whole line and Spark among them
	@$(BIN)/python -m pytest

lint: setup ## Format, style, types, import lines, SQL and the compose file
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint dbt/models
	@sed 's/=$$/=checked/' .env.example > .venv/compose.env; \
	if docker compose version > /dev/null 2>&1; then docker compose --env-file .venv/compose.env config --quiet; \
	elif command -v docker-compose > /dev/null; then docker-compose --env-file .venv/compose.env config --quiet; \
	else echo "docker-compose.yml: no docker compose here, checked by tests/integration/deploy only"; fi

SLOW := tests/e2e/test_acceptance.py tests/e2e/test_pipeline_kills.py tests/e2e/test_airflow_kills.py tests/e2e/test_service_kills.py \
	tests/e2e/test_celery.py tests/e2e/test_event_changes_response.py tests/contract/serving/test_api_conformance.py tests/e2e/test_real_log_marts.py \
	tests/integration/dbt/test_spark_marts.py

acceptance: setup .venv/spark ## The real logs and full counts; resumable, skips with a reason what it has no data for
	@SEGUE_ACCEPTANCE=1 $(BIN)/python -m pytest -p tests.support.acceptance_plugin --override-ini timeout=7200 $(SLOW)

bench: setup ## Speed beside our peers, into SEGUE_HOME/reports/benchmark.json (ONLY=name for one, ROWS=its size)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(call quoted,$(ONLY))) $(if $(ROWS),--rows $(call quoted,$(ROWS)))

study: setup ## Ablations on the home's logs, cached and resumable, into SEGUE_HOME/reports/study_*.md (STUDY, SEEDS, RECIPE)
	@$(BIN)/python -m local.environment python -m training.ablations $(if $(STUDY),$(call quoted,$(STUDY))) --seeds $(SEEDS) --recipe $(call quoted,$(RECIPE)) $(if $(AS_OF),--as-of $(call quoted,$(AS_OF)))

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock
DOCS := $(INSTALL) -e '.[test,docs]'

docs: setup ## The documentation as a site, into SEGUE_HOME/docs
	@$(BIN)/python -c 'import mkdocs, material' 2> /dev/null || $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict --site-dir "$$(realpath -m $(call quoted,$(SEGUE_HOME)))/docs"
	@echo $(call quoted,$(SEGUE_HOME)/docs/index.html)

screenshots: setup ## Pictures of every page into docs/images, from the services that run with simulated listeners
	@$(BIN)/python -m tests.support.screenshots

WRITTEN := airflow bentoml built cache dbt docs feast landing live logs marts mlflow peers quality.spill quarantine reports requests run scale serving simulated spark study \
	training warehouse.duckdb warehouse.spill

clean: stop ## Remove what Segue wrote below SEGUE_HOME (landed events too) and the caches
	@cd $(call quoted,$(SEGUE_HOME)) 2> /dev/null && rm -rf $(WRITTEN) || true
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

lock: setup .venv/spark ## Write requirements.lock from what is installed (torch stays a range)
	@$(DOCS)
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/pip freeze --exclude-editable | grep -viE '^(torch|pip|setuptools|segue)[=@ ]'; } > .venv/lock && mv .venv/lock requirements.lock

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.venv/stamp: pyproject.toml requirements.lock
	@command -v $(PYTHON) > /dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Segue needs Python 3.11 (the lock is made for it, not for 3.12 or 3.13) and '$(PYTHON)' is not it: install 3.11, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "Everything in requirements.lock goes into .venv: 3 GB, which takes some minutes the first time"
	@$(INSTALL) -e '.[test]'
	@touch $@

# Spark is 430 MB that only the cluster profile and its tests need: `make run` does without.
.venv/spark: .venv/stamp
	@$(INSTALL) -e '.[test,spark]'
	@touch $@
