# Everything a developer types. Needs make and Python 3.11 to 3.13; the rest goes into .venv.
# Written for GNU make 3.81 too, which macOS ships.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
CONFIG := config.example.toml
ARGS :=

# The first of these that is in range and can make virtual environments; `make run PYTHON=/path/to/python` overrides.
PYTHON :=
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

# No byte code at installation: most of what moto brings is never imported, and the first run is sooner.
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --no-deps

RUN_LOCKS := deploy/requirements-build.txt deploy/requirements-dev.txt
TEST_LOCKS := deploy/requirements-build.txt deploy/requirements-test.txt

.DEFAULT_GOAL := help
.PHONY: help run test check lint format prove bench lock clean

help:
	@echo "make run      the worker on an embedded endpoint with sample traffic; ARGS=\"--records 300\" is passed on"
	@echo "make test     the whole test suite; ARGS=\"-k bisect\" is passed to pytest"
	@echo "make check    format, lint, types, and the whole test suite"
	@echo "make prove    the whole proof that no record is lost, two and a half hours; ARGS=\"--scale 0.01\" for a taste"
	@echo "make bench    the worker's speed beside its peers', some fifteen minutes; the table and the plot are in build/"
	@echo "make lint     format, lint and types only"
	@echo "make format   puts the code into its format"
	@echo "make lock     makes the hashed locks in deploy/ anew; UPGRADE=--upgrade takes newer versions"
	@echo "make clean    removes what the others made"

run: $(VENV)/.for-run
	@exec $(BIN)/poller dev --config $(CONFIG) $(ARGS)

test: $(VENV)/.for-test
	@$(BIN)/python -m pytest $(ARGS)

check: lint test

lint: $(VENV)/.for-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict poller

format: $(VENV)/.for-test
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# With the fuzzer, which exists for Linux on x86-64 only, where it can be had.
prove: $(VENV)/.for-test
	@$(PIP_INSTALL) --require-hashes -r deploy/requirements-fuzz.txt || echo "no fuzzer here: that part will fail" >&2
	@$(BIN)/python -m tests.prove $(ARGS)

bench: $(VENV)/.for-test
	@$(BIN)/python -m tests.benchmarks $(ARGS)

# The virtual environment, made anew if its Python has gone.
$(BIN)/python:
	@found=; \
	for each in $(PYTHONS); do \
	  if $$each -c '$(FITS)' >/dev/null 2>&1; then found=$$each; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 with its venv module was found (tried: $(PYTHONS))." >&2; \
	  echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV)

# Stamps: a later call installs again only when a lock or pyproject.toml has changed.
$(VENV)/.for-run: $(BIN)/python pyproject.toml $(RUN_LOCKS)
	@echo "installing what the worker and its embedded endpoint need"
	@$(PIP_INSTALL) --require-hashes $(patsubst %,-r %,$(RUN_LOCKS))
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.for-test: $(BIN)/python pyproject.toml $(TEST_LOCKS)
	@echo "installing what the tests need"
	@$(PIP_INSTALL) --require-hashes $(patsubst %,-r %,$(TEST_LOCKS))
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@ $(VENV)/.for-run

# Locks are made by the oldest Python that is supported: what newer ones need is a part of it.
UPGRADE :=
LOCK_PYTHON := python3.11
LOCK_TOOLS := $(VENV)/lock-tools
COMPILE := $(LOCK_TOOLS)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-options

lock: $(BIN)/python
	$(LOCK_PYTHON) -m venv $(LOCK_TOOLS)
	$(LOCK_TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet pip-tools==7.6.2
	cp deploy/requirements-fuzz.txt $(VENV)/all.txt
	$(COMPILE) $(UPGRADE) --extra dev --extra test --extra fuzz --all-build-deps -o $(VENV)/all.txt pyproject.toml
	sed -i.old -e '/^stream-poller @/d' -e '/^#/d' $(VENV)/all.txt
	$(COMPILE) -c $(VENV)/all.txt -o deploy/requirements.txt pyproject.toml
	$(COMPILE) -c $(VENV)/all.txt --extra dev -o deploy/requirements-dev.txt pyproject.toml
	$(COMPILE) -c $(VENV)/all.txt --extra dev --extra test -o deploy/requirements-test.txt pyproject.toml
	$(COMPILE) -c $(VENV)/all.txt --extra dev --extra test --extra fuzz -o deploy/requirements-fuzz.txt pyproject.toml
	$(COMPILE) -c $(VENV)/all.txt --all-build-deps --only-build-deps -o deploy/requirements-build.txt pyproject.toml
	for each in deploy/requirements*.txt; do \
	  sed -e '/^stream-poller @/d' -e '/^#/d' $$each > $(VENV)/lock && cat $(VENV)/lock > $$each; \
	done

clean:
	rm -rf $(VENV) .ci/node_modules .ci/ministack .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
