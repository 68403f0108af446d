# Targets in pipeline order; `make help` lists them.
# Variables: LOGS, RECIPE, AS_OF, CHANNELS, TO, FROM here; SEGUE_HOME and SEGUE_*_PORT in the environment (config/settings.py).

RECIPE ?= small
LOGS ?=
AS_OF ?=
CHANNELS ?=
ONLY ?=
ROWS ?=
ABLATION ?=
SEEDS ?= 3
USERS ?= 1000
TRACKS ?= 8000
DAYS ?= 60
SEED ?= 7
TO ?=
FROM ?=
SUPPRESSION ?=
DATA ?=

PYTHON ?= python3.11
BIN := .venv/bin
UV := $(BIN)/uv
SEGUE_HOME ?= var
# An empty home is the default one, as for the commands: `cd ''` stays in the repository, whose folders `make clean` would delete.
ifeq ($(strip $(SEGUE_HOME)),)
override SEGUE_HOME := var
endif
export SEGUE_HOME
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Quotes a value of the user as a single word, so that the shell does not interpret it.
quoted = '$(subst ','\'',$(1))'
PARAMETERS = --logs $(call quoted,$(LOGS)) --recipe $(call quoted,$(RECIPE)) --as-of $(call quoted,$(AS_OF)) --channels $(call quoted,$(CHANNELS))

# make accepts any variable on its command line, so a misspelled one would have no effect and no message.
VARIABLES := RECIPE LOGS AS_OF CHANNELS ONLY ROWS ABLATION SEEDS USERS TRACKS DAYS SEED TO FROM SUPPRESSION DATA DRY_RUN PYTHON
given := $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name)))
unknown := $(firstword $(filter-out $(VARIABLES) SEGUE_% PATH SHELL MAKEFLAGS,$(given)))
ifneq ($(unknown),)
near := $(shell $(PYTHON) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1))' '$(subst ','\'',$(unknown))' $(VARIABLES) 2> /dev/null)
$(error there is no variable $(unknown); $(if $(near),did you mean $(near)?,use one of: $(VARIABLES)))
endif

.DEFAULT_GOAL := help
.PHONY: setup simulate run pipeline serve backup restore prune stop check unit test all-tests lint acceptance bench golden ablation leaderboard docs clients screenshots clean lock audit sbom help

setup: .venv/stamp ## Create .venv from uv.lock (does nothing if it is up to date)

simulate: setup ## Generate a simulated world in SEGUE_HOME/simulated/own (USERS, TRACKS, DAYS, SEED)
	@$(BIN)/python -m ingestion.simulate --users $(USERS) --tracks $(TRACKS) --days $(DAYS) --seed $(SEED) --out $(call quoted,$(SEGUE_HOME)/simulated/own)

run: setup ## Start the services, run the pipeline in Airflow, print a recommendation (LOGS, RECIPE, AS_OF, CHANNELS)
	@$(BIN)/python -m local.run $(PARAMETERS)

pipeline: setup ## Run the pipeline without a scheduler (LOGS, RECIPE, AS_OF, CHANNELS)
	@$(BIN)/python -m local.pipeline $(PARAMETERS)

serve: setup ## Start the services, unless they run: Airflow, recommender, MLflow, console
	@$(BIN)/python -m local.services start

backup: setup ## Back up SEGUE_HOME to a new folder (TO) while the services run
	@$(if $(TO),,$(error TO is empty; name a new folder outside SEGUE_HOME: make backup TO=/backups/monday))$(BIN)/python -m local.recovery.backup --to $(call quoted,$(TO))

prune: setup ## Remove what is older than its lifetime (DRY_RUN=1 prints it only)
	@$(BIN)/python -m local.retention $(if $(DRY_RUN),--dry-run)

restore: setup ## Restore a backup (FROM) into an empty SEGUE_HOME (SUPPRESSION: suppression_list.json of the lost home)
	@$(if $(FROM),,$(error FROM is empty; name the folder of a backup: make restore FROM=/backups/monday))$(BIN)/python -m local.recovery.restore --from $(call quoted,$(FROM)) $(if $(SUPPRESSION),--suppression $(call quoted,$(SUPPRESSION)))

stop: ## Stop the services of SEGUE_HOME and all their processes
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local.services stop; fi

# A test file runs in one worker, because module fixtures are expensive, and files start in order, the long ones first.
# One thread per worker.
PYTEST_PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

check: setup ## Lint, types, unit and contract tests
	@$(MAKE) --no-print-directory --jobs 2 lint unit

unit: setup ## Unit and contract tests
	@$(PYTEST_PARALLEL) --numprocesses 2 --durations 10 tests/contract tests/unit

test: setup ## lint, and all tests: unit, contract, integration and end-to-end (Airflow, browser, databases; Spark if installed)
	@$(MAKE) --no-print-directory --jobs 2 lint all-tests

# Four workers on two cores, because many of these tests wait for servers. The whole pipeline starts first, because it takes longest,
# and the short tests fill the time until it ends.
all-tests:
	@$(PYTEST_PARALLEL) --numprocesses 4 --durations 30 tests/e2e/test_pipeline.py tests/e2e tests/integration tests/contract tests/unit

# mypy 2 has its own environment, because dbt allows no version of pathspec that it accepts. mypy 1, which Feast installs, checks for 20 s
# even if nothing has changed.
MYPY_VERSION := 2.4.1
MYPY := .venv/mypy-$(MYPY_VERSION)/bin/mypy
$(MYPY): .venv/stamp
	@$(BIN)/python -m venv --clear $(@D)/..
	@$(@D)/pip install --quiet --disable-pip-version-check $(if $(UV_DEFAULT_INDEX),--index-url $(UV_DEFAULT_INDEX)) mypy==$(MYPY_VERSION)
	@touch $@

lint: setup $(MYPY) ## Format, style, types, import layers, SQL and the compose file
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MYPY)
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory .mypy_cache/sqlfluff
	@sed 's/=$$/=checked/' .env.example > .venv/compose.env; \
	if docker compose version > /dev/null 2>&1; then docker compose --env-file .venv/compose.env config --quiet; \
	elif command -v docker-compose > /dev/null; then docker-compose --env-file .venv/compose.env config --quiet; \
	else echo "docker-compose.yml: docker compose is not installed, checked by tests/integration/deploy only"; fi

# SQL is linted again only after a change of it, of the rules or of sqlfluff, because that takes a third of the time of `lint`.
.mypy_cache/sqlfluff: $(shell find dbt/models dbt/macros tests/support/sqlfluff_library -name '*.sql' -o -name '*.yml' -o -name '*.py') dbt/.sqlfluff dbt/dbt_project.yml uv.lock
	@$(BIN)/sqlfluff lint dbt/models
	@mkdir -p $(@D) && touch $@

ACCEPTANCE := tests/e2e/test_acceptance.py tests/e2e/test_pipeline.py tests/e2e/test_airflow_kills.py \
	tests/e2e/test_service_kills.py tests/integration/serving/test_recommender_with_workers.py tests/e2e/test_real_log_marts.py \
	tests/e2e/chaos tests/e2e/test_compose.py tests/integration/serving/test_api_conformance.py \
	tests/integration/dbt/test_daily_builds.py tests/integration/dbt/test_spark_marts.py tests/integration/dbt/test_spark_thrift.py \
	tests/integration/sequences/offline/test_spark_store.py tests/contract/config/test_engine_profiles.py \
	tests/integration/sequences/offline/test_time_zones.py tests/integration/sequences/online/test_reader.py \
	tests/integration/training/ranking/test_planted_signals.py \
	tests/integration/event_store/test_redis_failures.py tests/integration/serving/test_client_types.py \
	tests/integration/ingestion/test_fuzz.py tests/e2e/test_search_quality.py tests/e2e/test_real_audio.py

acceptance: setup .venv/spark ## Slow tests on real logs and at full size; resumable, skipped with a reason if data is missing
	@SEGUE_ACCEPTANCE=1 $(BIN)/python -m pytest -p tests.support.acceptance_plugin --capture tee-sys --override-ini timeout=7200 $(ACCEPTANCE)

golden: setup ## Compare marts, evaluation and 400 responses with SEGUE_HOME/golden/RECIPE.json, or store them there (RECIPE)
	@$(BIN)/python -m research.golden --recipe $(call quoted,$(RECIPE))

bench: setup ## Measure speed, into SEGUE_HOME/reports/benchmark.json (ONLY=name for one, ROWS=its size)
	@$(BIN)/python -m research.bench $(if $(ONLY),--only $(call quoted,$(ONLY))) $(if $(ROWS),--rows $(call quoted,$(ROWS)))

ablation: setup ## Measure the last run with three seeds or on replayed sessions, into SEGUE_HOME/reports (ABLATION, RECIPE, AS_OF)
	@$(BIN)/python -m local.environment python -m research.ablation $(if $(ABLATION),$(call quoted,$(ABLATION))) --recipe $(call quoted,$(RECIPE)) $(if $(AS_OF),--as-of $(call quoted,$(AS_OF)))

leaderboard: setup ## Measure the models on public data (DATA), into SEGUE_HOME/reports/leaderboard.json (SEEDS, ONLY)
	@$(BIN)/python -m local.environment python -m research.public_data leaderboard --seeds $(call quoted,$(SEEDS)) --json $(call quoted,$(SEGUE_HOME)/reports/leaderboard.json) \
	  $(if $(ONLY),--only $(foreach name,$(ONLY),$(call quoted,$(name)))) $(if $(DATA),--data $(call quoted,$(DATA)))

.DEFAULT:
	$(error there is no target '$@'; `make help` lists the targets)

docs: .venv/docs ## Build the documentation as a site, into SEGUE_HOME/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict --site-dir "$$(realpath -m $(call quoted,$(SEGUE_HOME)))/docs"
	@echo $(call quoted,$(SEGUE_HOME)/docs/index.html)

clients: setup ## Generate the Python and the TypeScript client into build/clients (and renew clients/openapi.json)
	@$(BIN)/python -m clients.generate

screenshots: setup ## Take screenshots of every page into docs/images, from running services with simulated listeners
	@$(BIN)/python -m tests.support.screenshots

# Not content, and not suppression_list.json and unfinished_erasures.json: of these users, data in a bucket or Redis must still be erased.
WRITTEN := airflow batch bentoml built cache dbt docs feast home_format landing live logs marts media mlflow peers quality.spill quarantine reports requests run scale \
	serving simulated spark study ablations training warehouse.duckdb warehouse.spill

clean: stop ## Stop the services, delete landed and recorded events, releases and everything made from them (not encoded content), and the tool caches and build folder
	@[ "$$(realpath -m $(call quoted,$(SEGUE_HOME)))" != "$$(realpath .)" ] \
	  || { echo "SEGUE_HOME is the folder of the source code, whose folders would be deleted; set it to another folder" >&2; exit 2; }
	@cd $(call quoted,$(SEGUE_HOME)) 2> /dev/null && rm -rf $(WRITTEN) || true
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Not after `setup`, which rejects a lock that differs from pyproject.toml
lock: ## Write uv.lock after a change of pyproject.toml, from the public package index
	@[ -x $(UV) ] || $(MAKE) --no-print-directory setup
	@$(UV) lock --default-index https://pypi.org/simple

audit: setup ## Report known vulnerabilities of the locked packages (exit code 1; 2: the service was not reached)
	@$(UV) audit --locked --default-index https://pypi.org/simple --preview-features audit-command

sbom: setup ## Write the locked packages as a CycloneDX SBOM, SEGUE_HOME/reports/sbom.cdx.json
	@mkdir -p $(call quoted,$(SEGUE_HOME)/reports)
	@$(UV) export --quiet --locked --all-extras --default-index https://pypi.org/simple --format cyclonedx1.5 --preview-features sbom-export \
	  --output-file $(call quoted,$(SEGUE_HOME)/reports/sbom.cdx.json)
	@echo $(call quoted,$(SEGUE_HOME)/reports/sbom.cdx.json)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.venv/stamp: pyproject.toml uv.lock local/install.sh
	@$(BIN)/python -m pip --version > /dev/null 2>&1 \
	  || { $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' > /dev/null 2>&1 && $(PYTHON) -m venv .venv; } \
	  || { echo "Segue requires Python 3.11, 3.12 or 3.13 with venv, which '$(PYTHON)' is not: install it, or name its path: make setup PYTHON=/path/to/python3.12"; exit 1; }
	@sh local/install.sh test
	@touch $@

# Spark (430 MB) is needed by the cluster profile and its tests only, MkDocs by `make docs`; `make run` works without them.
.venv/docs .venv/spark: .venv/%: .venv/stamp
	@sh local/install.sh test $*
	@touch $@
