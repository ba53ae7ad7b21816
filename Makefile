# `make demo` and `make test` set up all they need: Python packages in .venv, and `make test` installs the programs that
# its tests start with apt-get, where that is allowed without a password (INSTALL=no leaves it out).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PREVIEW ?= ../shared/dashboard-preview
# Tests and commands start hundreds of interpreters, each of which would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=
# CI measures the coverage; by hand `make test COVERAGE=1` does.
COVERAGE ?= $(filter true,$(CI))
# The tests' processes share few cores, and some wait in real time: what failed runs once more, alone, and is listed if it passes then.
AGAIN := --last-failed --last-failed-no-failures none --exitfirst --numprocesses 0 -rp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test nightly lint format bench grafana preview docs package clean

help:  ## Show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "peak_observe needs Python 3.11 or newer: make PYTHON=python3.13 …"; exit 1; }
	@$(PYTHON) -B tests/programs.py venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: EXTRAS := exchange,exporter
$(VENV)/.ready: EXTRAS := dev
$(VENV)/.demo $(VENV)/.ready: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$(EXTRAS)]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/ccxt/(pro|test)/' $(VENV)/lib || true  # pip does it on one core
	@touch $(VENV)/.demo $@

demo: $(VENV)/.demo  ## Watch circuits open and close against an exchange that fails (ARGS="--once" ends it, else Ctrl-C)
	@$(BIN)/peak-observe demo $(ARGS)

test: $(VENV)/.ready  ## Run all tests, after installing the programs that they start (ARGS="tests/exporter -x" is a part)
	@$(PYTHON) -B tests/programs.py
	$(BIN)/python -m pytest $(if $(COVERAGE),--cov) -n 3 --dist worksteal $(ARGS) || { [ $$? = 1 ] && $(BIN)/python -m pytest $(ARGS) $(AGAIN); }

$(VENV)/freqtrade/.ready: pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/freqtrade
	$(VENV)/freqtrade/bin/python -m pip install --quiet --no-compile freqtrade --editable '.[exporter]'
	@touch $@

nightly: $(VENV)/.ready $(VENV)/freqtrade/.ready  ## Run what takes minutes: each call of backups fails, the exporter under load, freqtrade
	@$(PYTHON) -B tests/programs.py strace
	NIGHTLY=1 $(BIN)/python -m pytest tests/backup_recovery/faults tests/backup_recovery/offsite tests/exporter tests/resilience/breaker/test_interrupts.py tests/test_freqtrade.py -m '' $(ARGS)

lint: $(VENV)/.ready  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy & inside=$$!; $(BIN)/pyright --pythonpath $(BIN)/python; public=$$?; wait $$inside && exit $$public

format: $(VENV)/.ready  ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready  ## Measure against the peers; fails if a budget is missed
	@$(PYTHON) -B tests/programs.py borg prometheus redis-server restic rsync
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python tests/benchmarks

grafana: $(VENV)/.ready  ## Write dashboards, alerts and provisioning anew
	$(BIN)/peak-observe grafana write grafana --overwrite

preview: $(VENV)/.ready  ## Draw each dashboard from a live demo into build/preview (PREVIEW=FOLDER of preview.sh)
	@$(BIN)/python tests/live $(PREVIEW) build/preview

docs: $(VENV)/.ready  ## Write the references that are made from the code anew
	$(BIN)/python docs/make

package: $(VENV)/.ready  ## Build wheel and sdist, and test what is installed from them
	rm -rf dist
	$(BIN)/python -m build --outdir dist >/dev/null
	$(BIN)/python tests/package.py dist

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist build
