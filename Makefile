# `make repro` and `make test` are each complete on a fresh machine: Python 3.11 or newer with venv, git and make; no root.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what is imported; most of what is installed never is.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# dvclive asks for nvidia-ml-py on any machine; what torch asks for is named nvidia-LIBRARY-cuNN and the like.
CUDA := '^(nvidia-([^m]|m[^l])|cuda-|triton)'
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE  # every stage is a process of its own, which would compile all that it imports

.PHONY: repro test test-long lint check bench setup lock clean

repro: setup  ## run what changed of the pipeline on every core, and say what it found; PROFILE=tiny first sets profiles/tiny.yaml in params.yaml
	taskonomy repro $(if $(PROFILE),--profile $(PROFILE))

test: setup  ## the tests, but for the longest
	pytest

test-long: setup  ## the longest: whole pipelines, killed, edited, cloned
	pytest -m long

lint: setup  ## style and types
	ruff check .
	ruff format --check .
	mypy

check: setup  ## profile tiny in a clean clone, from nothing: the bits of its reference
	taskonomy check tiny

bench: setup  ## every performance claim, as a ratio measured now
	@for program in benchmarks/*.py; do echo "== $$program"; python $$program || exit 1; done

setup: .venv/installed

.venv/installed: requirements.lock requirements-cuda.lock pyproject.toml
	@echo "installing the environment into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make setup PYTHON=python3.12")'
	$(PIP) -r requirements.lock -c requirements-cuda.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'from pathlib import Path; from taskonomy.pipeline.dvc_state import keep_state_in; keep_state_in(Path(".dvc"))'
	@touch $@

lock:  ## resolve the ranges of pyproject.toml anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --group dev --no-header --no-annotate -c constraints.txt pyproject.toml -o .lock
	{ echo "# Every package of the environment, for any Python >= 3.11 and platform; written by 'make lock'."; grep -vE $(CUDA) .lock; } > requirements.lock
	{ echo "# What a CUDA build of torch brings along: constraints, so that a CPU build installs none of it; written by 'make lock'."; grep -E $(CUDA) .lock; } > requirements-cuda.lock
	uv pip compile --quiet --universal --python-version 3.11 --group dev --extra cluster --no-header --no-annotate -c constraints.txt -c requirements.lock pyproject.toml -o .more
	{ echo "# What the extra 'cluster' brings beside requirements.lock; written by 'make lock'."; grep -vE $(CUDA) .more | grep -vxF -f requirements.lock; } > requirements-cluster.lock
	rm .lock .more

clean:  ## remove the environment; data and results stay
	rm -rf .venv
