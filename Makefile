# make demo, make test: one environment per Python version, made and filled on the first call.
#   make test PYTHON=python3.12     another interpreter
#   make test ARGS="-k kl -x"       arguments for pytest (for make demo: for the example)

PYTHON ?= python3
ARGS ?=

# Each is empty when the interpreter cannot say so; the last two are asked only before an install.
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
RECENT = $(shell "$(PYTHON)" -c 'import sys; print("yes" if sys.version_info >= (3, 11) else "")')
HAS_VENV = $(shell "$(PYTHON)" -c 'import ensurepip, venv; print("yes")' 2>/dev/null)

ENV := .venv/$(VERSION)
INSTALLED := $(ENV)/.installed
DOCUMENTS := $(ENV)/.documents
RUN := $(ENV)/bin/python -m
PYTEST := $(RUN) pytest -n auto --maxprocesses 8

# These look at the checkout, not at the package.
ABOUT_CHECKOUT := tests/docs tests/test_house.py tests/test_layering.py tests/test_readme.py

CHOOSE := name another with: make PYTHON=/path/to/python
MISSING = '$(PYTHON)' was not found or does not run: install Python 3.11 or later, or $(CHOOSE)
TOO_OLD = '$(PYTHON)' is Python $(VERSION), but 3.11 or later is needed: $(CHOOSE)
NO_VENV = '$(PYTHON)' has no venv module with pip: install it (on Debian and Ubuntu: \
	the package python$(VERSION)-venv), or $(CHOOSE)

.PHONY: help demo test lint format types docs tutorials wheel test-wheel install clean

help:
	@echo 'make demo        train, compare and shrink three networks on real digits (runs/digits)'
	@echo 'make test        run the tests'
	@echo 'make lint        check style and format;  make format  repairs what it can'
	@echo 'make types       check types'
	@echo 'make docs        build build/site, strictly;  make tutorials  executes them (minutes)'
	@echo 'make wheel       build dist/*.whl;  make test-wheel  tests what was built'
	@echo 'make clean       remove the environments and everything that was built'
	@echo 'PYTHON=...       the interpreter, 3.11 or later (now: $(PYTHON) $(VERSION))'
	@echo 'ARGS="..."       arguments for the example or for pytest'

demo: $(INSTALLED)
	$(RUN) examples.digits $(ARGS)

# The tests run in as many processes as there are cores, so one thread each.
test test-wheel: export OMP_NUM_THREADS = 1
test-wheel: export PYTHONPATH = $(CURDIR)/build/wheel

test: $(INSTALLED)
	$(PYTEST) $(ARGS)

lint: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .

format: $(INSTALLED)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

types: $(INSTALLED)
	$(RUN) mypy

# Pages of tutorials show the outputs of those that make tutorials executed.
docs: $(DOCUMENTS)
	$(RUN) docs.generate
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

tutorials: $(DOCUMENTS)
	$(RUN) docs.generate.tutorials $(ARGS)

wheel: $(INSTALLED)
	rm -rf dist
	$(RUN) pip wheel --no-deps --wheel-dir dist .

# The tests beside a package that came out of the wheel.
test-wheel: wheel
	rm -rf build
	mkdir -p build/tested
	$(RUN) pip install --no-deps --target build/wheel dist/*.whl
	test -f build/wheel/pyro_sparse/py.typed
	cp -R pyproject.toml tests models examples build/tested
	cd build/tested && rm -rf $(ABOUT_CHECKOUT)
	cd build/tested && "$(CURDIR)"/$(ENV)/bin/python -c \
		'import pyro_sparse as p; assert "/build/wheel/" in p.__file__, p.__file__'
	cd build/tested && "$(CURDIR)"/$(PYTEST) $(ARGS)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(if $(VERSION),,$(error $(MISSING)))
	$(if $(RECENT),,$(error $(TOO_OLD)))
	$(if $(HAS_VENV),,$(error $(NO_VENV)))
	"$(PYTHON)" -m venv $(ENV)
	$(RUN) pip install --disable-pip-version-check --editable '.[all]'
	@touch $@

$(DOCUMENTS): $(INSTALLED)
	$(RUN) pip install --disable-pip-version-check --editable '.[all,docs]'
	@touch $@

clean:
	rm -rf .venv build dist runs .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
