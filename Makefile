# Every target makes the environment that it needs in .venv, and reuses it while nothing changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PLUGINS := $(wildcard plugins/superlink-*)
# Byte code is written when a module is first imported: compiling all of it here would double the time.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --prefer-binary

.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(STAMPS)/project  ## superlink and its plugins in .venv, ready to use
	@echo "Ready: $(BIN)/superlink"

demo: $(STAMPS)/project  ## ask the small model that comes along, train another, and write demo/report.html
	@echo "Training and measuring tiny linked models on built-in scenes; pictures go to demo/"
	$(BIN)/superlink demo --output demo --train
	@echo "Done. Open demo/report.html in a browser."

test: $(STAMPS)/dev  ## the default test suite, on two processes
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

lint: $(STAMPS)/dev  ## format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMPS)/dev  ## the documentation as a site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove .venv and everything that was built
	rm -rf $(VENV) build dist site demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"superlink needs Python 3.11 or newer. Received: " + sys.version.split()[0] + \
		". Choose another one: make PYTHON=python3.11")'
	@echo "Making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(STAMPS)/quickstart: requirements/quickstart.txt requirements/without-dependencies.txt | $(BIN)/python
	@echo "Installing torch, transformers, mmdet and what they need: about a minute, 1.6 GB"
	@$(PIP) -r requirements/quickstart.txt
	@$(PIP) --no-deps -r requirements/without-dependencies.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/project: $(STAMPS)/quickstart pyproject.toml $(wildcard plugins/superlink-*/pyproject.toml)
	@echo "Installing superlink $(notdir $(PLUGINS))"
	@$(PIP) --no-deps --no-build-isolation $(addprefix --editable ./,. $(PLUGINS))
	@touch $@

$(STAMPS)/dev: $(STAMPS)/project requirements/dev.txt
	@echo "Installing test, lint and documentation tools"
	@$(PIP) -r requirements/dev.txt
	@touch $@
