# make demo         learn to translate in three minutes, from nothing
# make test         lint, and the tests that take minutes; make test-slow: the long ones and those on real data too
# make test-floor   the tests with the oldest transformers that the package allows, in an environment of their own
# make venv         the virtual environment .venv that the others use
#
# PYTHON=python3.12 make venv                    another Python (3.10 to 3.13)
# PIP_EXTRA_INDEX_URL=URL make venv              more package indexes, for example one with CPU builds of torch
# VENV=PATH make test                            another virtual environment

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
WORKERS ?= 2
# One thread for each test process: several processes with several threads each are slower on the same cores.
TEST = OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: venv test test-fast test-slow test-floor lint format demo clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 14) else "Python 3.10 to 3.13 is needed, this is " + sys.version.split()[0] + ": PYTHON=python3.12 make venv")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

test: lint test-fast

test-fast: venv
	$(TEST) -m "not slow" --durations=40 --durations-min=3

test-slow: venv
	$(TEST)

test-floor:
	$(MAKE) venv VENV=.venv-floor
	.venv-floor/bin/python -m pip install --quiet --requirement constraints-floor.txt
	$(MAKE) test-fast VENV=.venv-floor

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: venv
	$(BIN)/hf-vanilla demo --output runs/demo

clean:
	rm -rf $(VENV) runs build dist .pytest_cache .ruff_cache
