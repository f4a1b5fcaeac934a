# make run: the main job. make test: all tests. Both set up a virtual environment first, as make install does.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# A file's tests share what it has run before them, so they stay together.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: install run test test-fast test-slow lint types clean

install: $(READY)

run: $(READY)
	$(BIN)/python run.py $(ARGS)

test: test-fast test-slow

test-fast: $(READY)
	$(PYTEST) -m "not slow and not integration"

test-slow: $(READY)
	$(PYTEST) -m "slow or integration"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
