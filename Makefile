# make demo         train a small translation model from scratch, in three minutes
# make test         run lint and the fast tests
# make test-slow    run all tests, also the long ones and those on real data
# make test-floor   run the fast tests with the oldest supported transformers, in a separate environment
# make venv         create the virtual environment .venv, which the other targets use
#
# PYTHON=python3.12 make venv                    use another Python (3.10 to 3.13)
# PIP_EXTRA_INDEX_URL=URL make venv              add a package index, for example one with CPU builds of torch
# VENV=PATH make test                            use another virtual environment

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
WORKERS ?= 2
# One thread per test process: several processes with several threads each compete for the same cores.
# A test process that dies ends the run: pytest-xdist waits for ever for the tests of its successor.
TEST = OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0

.PHONY: venv test test-fast test-slow test-floor lint format demo clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 14) else "Python 3.10 to 3.13 is needed, this is " + sys.version.split()[0] + ": PYTHON=python3.12 make venv")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

test: lint test-fast

test-fast: venv
	$(TEST) -m "not slow" --durations=40 --durations-min=3 \
		-o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

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
