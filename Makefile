# Everything a person needs is here: `make help`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
# Those of `make unit`, and those of `make lowest` and `make pythons`.
TESTS ?= not servers and not slow
QUICK ?= not slow
SERVERS := git redis-server nginx-light prometheus prometheus-alertmanager postgresql rabbitmq-server openssl chromium systemd
AXE := tests/browser/node_modules/axe-core/axe.min.js
# More processes than cores: the longest tests wait for real time to pass. One test at a time, so that
# no process is left with several of those at the end.
PARALLEL := -n 4 --maxschedchunk 1

# A virtual environment that was made half is none.
.DELETE_ON_ERROR:

.PHONY: help demo test unit pythons lowest packages bench lint format docs site picture clean servers

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/demo-installed ## Run an exporter, four workers, Prometheus and Alertmanager; Ctrl-C ends it
	@exec $(BIN)/heartbeat-exporter demo

test: $(VENV)/dev-installed lint servers ## Run all tests; installs the servers they need if it may
	$(BIN)/python -m pytest $(PARALLEL)

unit: $(VENV)/dev-installed ## Run the tests that need no server: seconds
	$(BIN)/python -m pytest -m "$(TESTS)" $(PARALLEL)

pythons: servers ## Run the quick tests with each Python that is supported and here
	@QUICK="$(QUICK)" scripts/each-python

lowest: $(VENV)/dev-installed servers ## Run the quick tests with the lowest versions that pyproject.toml allows
	$(BIN)/python scripts/lowest_versions.py > $(VENV)/lowest.txt
	@$(MAKE) --no-print-directory unit VENV=.venv-lowest CONSTRAINTS=$(VENV)/lowest.txt TESTS="$(QUICK)"

packages: $(VENV)/dev-installed ## Build the sdist and the wheel, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

bench: $(VENV)/dev-installed ## Measure speed and size; prints figures
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks

lint: $(VENV)/dev-installed ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/dev-installed ## Mend what can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/dev-installed ## Write again what is generated: references, dashboards, rules
	$(BIN)/python -m exporter.metrics.reference > docs/metrics.md
	$(BIN)/python scripts/settings_reference.py > docs/settings.md
	$(BIN)/python scripts/cli_reference.py > docs/cli.md
	$(BIN)/python scripts/life_of_a_worker.py
	$(BIN)/python -m exporter.configuration.schema > docs/config.schema.json
	$(BIN)/python -m grafana.source
	$(BIN)/python scripts/operator_resources.py

picture: $(VENV)/dev-installed ## Take the picture of the status page in README.md again
	SCREENSHOTS=docs $(BIN)/python -m pytest tests/browser/test_pictures.py -k status_page

site: $(VENV)/dev-installed ## Build the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## Remove what was installed and what was left by tools
	rm -rf $(VENV) .venv-* tests/browser/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist site

# Debian's Python comes without the part that makes virtual environments.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/debian-install python3-venv
	$(PYTHON) -m venv $(VENV)

servers:
	@scripts/debian-install $(SERVERS) || true
	@$(MAKE) --no-print-directory $(AXE) || true
	@command -v kubectl >/dev/null || scripts/debian-install kubernetes-client || true

$(AXE): tests/browser/package.json
	@command -v npm >/dev/null || scripts/debian-install npm
	npm install --prefix tests/browser --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

$(VENV)/demo-installed: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[worker]'
	@touch $@

$(VENV)/dev-installed: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@ $(VENV)/demo-installed
