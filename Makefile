PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
SOURCES := $(shell find circa/ models protocols -type f -not -path '*/__pycache__/*' -not -name '*.so')

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-numpy lint install dev kernels bench clean

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: install  ## private inference on handwritten digits, two processes
	$(BIN)/circa demo

test: install lint  ## ruff, mypy --strict on the installed package, pytest
	$(BIN)/pytest

test-slow: install $(VENV)/.ray  ## the tests marked slow: builds, sanitizers, a Ray cluster, long statistics
	$(BIN)/pytest -m slow

test-numpy: install  ## the protocols' tests once more, without the native kernels
	CIRCA_NATIVE=0 $(BIN)/pytest tests/protocols

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p circa

install: $(VENV)/.installed

# Everything once; again when what we depend on changed.
$(VENV)/.dependencies: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt scikit-build-core nanobind cmake ninja
	$(PIP) install -c constraints.txt --no-build-isolation '.[test]'
	touch $@

$(VENV)/.ray: $(VENV)/.dependencies
	$(PIP) install -c constraints.txt ray || echo "Ray could not be installed: its tests will be skipped"
	touch $@

# A normal install, as a user has it: the package alone again when a source changed.
$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	rm -f protocols/_kernels*.so  # of a bare run: a wheel would take it instead of a new one
	$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	touch $@

dev:  ## editable install in .venv-dev, and the links circa/{protocols,models} for bare runs
	ln -sfn ../protocols circa/protocols
	ln -sfn ../models circa/models
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip --quiet install -c constraints.txt scikit-build-core nanobind cmake ninja
	.venv-dev/bin/python -m pip --quiet install -c constraints.txt --no-build-isolation --editable '.[dev]'

kernels:  ## the native kernels beside their sources, for bare runs in the checkout (PYTHONPATH)
	cmake -S protocols/native -B build/bare -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$(shell which $(PYTHON))
	cmake --build build/bare && cp build/bare/_kernels*.so protocols/

bench: install  ## the kernels against NumPy, one JSON line each
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_native.py

clean:  ## remove what make made
	rm -rf $(VENV) .venv-dev build dist results .mypy_cache .ruff_cache .pytest_cache .hypothesis
