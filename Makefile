# What can be done here? `make help` says. Every target sets itself up; nothing is written outside this folder, but
# for pip's and Maven's own caches. POSIX sh, so that it runs where there is nothing but make and Python.

SHELL = /bin/sh
VENV = .venv
BIN = $(VENV)/bin
# an interpreter to prefer, e.g. PYTHON=python3.12
PYTHON =
# words for the command behind a target, e.g. ARGS=--once or ARGS='-k timeline'
ARGS =
# how many processes share the tests
WORKERS = 2
UV_COMPILE = pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

.PHONY: help demo test lint lock clean
.DELETE_ON_ERROR:

help: ## say what can be done here
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1	/p' Makefile

demo: $(VENV)/runtime.stamp ## run Storyline with a generated year of a small shop; ARGS=--once ends by itself
	@$(BIN)/storyline demo $(ARGS)

# Files go to the workers as wholes, in the order of tests/conftest.py. Tests start hundreds of processes, each of which
# would compile all modules again if that were not kept.
test: $(VENV)/dev.stamp ## run all tests; ARGS='-k timeline' runs some
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/dev.stamp ## check style (ruff) and types (mypy --strict)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

clean: ## remove what was made here, but for the data folder .storyline
	rm -rf $(VENV) .lock-venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis

# An interpreter that is new enough, or a sentence that says what to install.
FIND_PYTHON = found=; for each in $(PYTHON) python3 python python3.13 python3.12 python3.11; do \
	if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$each; break; fi; done; \
	if [ -z "$$found" ]; then echo "Python 3.11 or newer was not found. Install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! "$$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	echo "$$found has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi

$(BIN)/python:
	@$(FIND_PYTHON); rm -rf $(VENV) && "$$found" -m venv $(VENV)

# Only what the lock names is installed, with its hashes; then the project itself, without any network: setuptools
# is in the lock. Python belongs to the prerequisites, so that a newer one that took its place is noticed.
INSTALL = @if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	$(FIND_PYTHON); rm -rf $(VENV) && "$$found" -m venv $(VENV) || exit 1; fi; \
	echo "Installing $< into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $< && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e . && \
	touch $@

$(VENV)/runtime.stamp: requirements.lock pyproject.toml $(BIN)/python
	$(INSTALL)

$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml $(BIN)/python
	$(INSTALL)

lock: ## pin and hash all dependencies anew; ARGS=--upgrade takes newer versions
	@$(FIND_PYTHON); rm -rf .lock-venv; trap 'rm -rf .lock-venv' EXIT INT TERM; set -e; \
	"$$found" -m venv .lock-venv; .lock-venv/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	.lock-venv/bin/uv $(UV_COMPILE) --extra build -o requirements.lock $(ARGS); \
	.lock-venv/bin/uv $(UV_COMPILE) --extra build --extra dev -c requirements.lock -o requirements-dev.lock $(ARGS)
