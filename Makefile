# Everything a developer or CI runs. `make` alone lists it.

PYTHON ?= python3
WORKERS ?= 3
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE # else each of the tests' processes would compile everything anew
UV := $(shell command -v uv 2>/dev/null)
BEGAN := $(shell date +%s)
DOCS := $(wildcard tests/test_docs.py)
QUICK := $(wildcard tests/unit tests/contracts tests/test_tidy.py tests/test_deploy.py)
TEMPLATES := $(wildcard services/noticebus/console/templates services/noticebus/gateway/templates)
PINS = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-strip-extras --upgrade --custom-compile-command 'make requirements'

ifdef UV
INSTALL := uv pip install --quiet --python $(BIN)/python
MAKE_VENV := uv venv --quiet --allow-existing --no-python-downloads --python $(PYTHON) .venv
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
MAKE_VENV := $(PYTHON) -m venv .venv
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# --- set-up ------------------------------------------------------------------

.PHONY: setup
setup: .venv/.dev .venv/.kafka chromium ## make .venv from the pinned requirements, fetch broker and browser

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "set-up: .venv"
	@$(MAKE_VENV)
	@touch $@

.venv/.run: requirements/run.txt requirements/build.txt pyproject.toml | .venv/.python
	@echo "set-up: installing what noticebus runs on (requirements/run.txt)"
	@$(INSTALL) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "set-up: installing what its developers use (requirements/dev.txt)"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.kafka: requirements/kafka.txt .venv/.dev
	@test -n "$$NOTICEBUS_TEST_KAFKA" || $(BIN)/python tests/harness/kafka.py
	@touch $@

.PHONY: chromium
chromium: .venv/.dev
	@$(BIN)/python tests/harness/chromium.py

# --- run ---------------------------------------------------------------------

.PHONY: demo
demo: .venv/.run ## play August 2019 in about a minute
	@$(BIN)/noticebus demo $(ARGS)

.PHONY: serve
serve: .venv/.run ## start the embedded profile for real use
	@$(BIN)/noticebus serve $(ARGS)

# --- test --------------------------------------------------------------------

.PHONY: test
test: setup ## every test, against a real PostgreSQL and a real Kafka
	@NOTICEBUS_TEST_SETUP_SECONDS=$$(( $$(date +%s) - $(BEGAN) )) \
		$(BIN)/pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: coverage
coverage: setup ## every test, and which lines none of them ran; takes three times as long
	@$(BIN)/pytest -q -n $(WORKERS) --dist worksteal --cov --cov-report term \
		$(if $(ARGS),--cov-fail-under 0) $(ARGS)

.PHONY: fuzz
fuzz: setup ## 10,000 random calls over all operations
	@$(BIN)/pytest -q tests/fuzz --fuzz-calls 10000 --timeout 3600 $(ARGS)

.PHONY: bench bench-plot
bench: setup ## measure the short set; prints what is reached
	@$(BIN)/python -m bench $(ARGS)

bench-plot: .venv/.dev ## draw how cost grows: ARGS='FILE.json … --svg FILE.svg'
	@$(BIN)/python -m bench.plot $(ARGS)

.PHONY: bench-latency bench-saturation bench-fanout bench-kill bench-isolation bench-soak
bench-latency: setup ## measure post to arrival at 10, 50 and 200 notices a second
	@$(BIN)/python -m bench.latency $(ARGS)

bench-saturation: setup ## measure 5,000 notices, 64 at a time, to one subscription and to 64
	@$(BIN)/python -m bench.saturation $(ARGS)

bench-fanout: setup ## measure bursts to 20, 100 and 1,000 recipients (ARGS=--one: to 10,000)
	@$(BIN)/python -m bench.fanout $(ARGS)

bench-kill: setup ## kill a dispatcher, then a gateway, in a burst; counts lost and doubled
	@$(BIN)/python -m bench.kill $(ARGS)

bench-isolation: setup ## measure what bad endpoints cost the others
	@$(BIN)/python -m bench.isolation $(ARGS)

bench-soak: setup ## ten minutes of notices with restarts of broker and database; counts what is lost
	@$(BIN)/python -m bench.soak $(ARGS)

.PHONY: bench-escalation bench-report
bench-escalation: setup ## measure the escalation clock over a million open obligations
	@$(BIN)/python -m bench.escalation $(ARGS)

bench-report: setup ## measure the unacknowledged report over a million open obligations
	@$(BIN)/python -m bench.report $(ARGS)

# --- check -------------------------------------------------------------------

.PHONY: check
check: check-format lint types layers quick check-schemas migrations docs templates words ## all that is checked without servers

.PHONY: check-format lint types layers quick check-schemas migrations docs templates words
check-format: .venv/.dev
	@$(BIN)/ruff format --check --quiet .

lint: .venv/.dev ## ruff
	@$(BIN)/ruff check --quiet .

types: .venv/.dev ## mypy
	@$(BIN)/mypy services tests $(wildcard tools bench)

layers: .venv/.dev ## import-linter
	@$(BIN)/lint-imports --no-logo

quick: .venv/.dev ## the tests that need no server
	@$(if $(strip $(QUICK)),$(BIN)/pytest -q -n $(WORKERS) $(QUICK),:)

check-schemas: .venv/.dev
ifneq ($(wildcard tools/schemas.py),)
	@$(BIN)/python tools/schemas.py --check
endif

migrations: .venv/.dev ## squawk over the migrations' SQL
	@mkdir -p var
	@$(BIN)/python -c 'from noticebus.store.migrate import render_sql; print(render_sql())' > var/migrations.sql
	@$(BIN)/squawk var/migrations.sql

docs: .venv/.dev ## links, settings and examples of the documentation
ifneq ($(DOCS),)
	@$(BIN)/pytest -q $(DOCS)
endif

templates: .venv/.dev ## djlint
ifneq ($(TEMPLATES),)
	@$(BIN)/djlint --quiet --lint $(TEMPLATES)
endif

words: .venv/.dev ## codespell
	@$(BIN)/codespell

# --- write -------------------------------------------------------------------

.PHONY: format
format: .venv/.dev ## rewrite the code in the house's form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

.PHONY: schemas
schemas: .venv/.dev ## write schemas/ from contracts/
	@$(BIN)/python tools/schemas.py

.PHONY: screenshots
screenshots: setup ## take the pictures of docs/images anew
	@mkdir -p docs/images
	@NOTICEBUS_TEST_PICTURES=docs/images $(BIN)/pytest -q -n 0 tests/browser/test_pictures.py

.PHONY: requirements
requirements: ## pin the requirements anew, nothing younger than a week (needs uv)
	@$(PINS) pyproject.toml -o requirements/run.txt
	@$(PINS) --group build -c requirements/run.txt -o requirements/build.txt
	@$(PINS) pyproject.toml --group dev -c requirements/run.txt -c requirements/build.txt -o requirements/dev.txt

.PHONY: vendor check-vendor compare-vendor
vendor: .venv/.dev ## copy what pages load from npm's packages (needs Node)
	@cd tools/frontend && npm ci --ignore-scripts --silent
	@$(BIN)/python tools/vendor.py

check-vendor: ## the same, but only compare (needs Node)
	@cd tools/frontend && npm ci --ignore-scripts --silent
	@$(MAKE) compare-vendor

compare-vendor: .venv/.dev
	@$(BIN)/python tools/vendor.py --check

.PHONY: audit
audit: .venv/.dev ## known vulnerabilities among the pinned requirements
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/dev.txt

.PHONY: clean
clean: ## remove .venv and what tools leave behind
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage* build dist var
