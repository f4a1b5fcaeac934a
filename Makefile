# make run: the main job. make test: all tests. make docs: the site. All set up a virtual environment first, as make
# install does.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Per cent of the lines that the fast tests must run.
COVERED ?= 86

# A file's tests share what it has run before them, so they stay together.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: install run test test-fast test-slow test-python coverage lint types docs release-check clean

install: $(READY)

run: $(READY)
	$(BIN)/python run.py $(ARGS)

test: test-fast test-slow

test-fast: $(READY)
	$(PYTEST) -m "not slow and not integration"

test-slow: $(READY)
	$(PYTEST) -m "slow or integration"

# The fast tests with another Python, in an environment of its own: make test-python PYTHON=python3.13
test-python:
	$(MAKE) test-fast PYTHON=$(PYTHON) VENV=.venv-$(notdir $(PYTHON))

# The fast tests, and the share of all lines that they run. The slow ones run most of what these leave out.
coverage: $(READY)
	$(PYTEST) -m "not slow and not integration" --cov=mavrl --cov-report=term:skip-covered --cov-fail-under=$(COVERED)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

# Warnings are errors, links to other pages and their headings too. Nothing is fetched.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# What a release would be: wheel and source, each installed with all that it needs into a fresh environment, in which
# the main job, a sweep and a search run from an empty directory.
release-check: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	MAVRL_RELEASE=dist $(BIN)/python -m pytest tests/integration/test_distributions.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .ruff_cache .coverage site dist
