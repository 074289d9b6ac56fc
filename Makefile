# Everything is installed into .venv, from the lock files, with hashes.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
ARGS ?=
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
CAPTURES ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help setup setup-test serve test test-slow test-all check bench bench-quality calibration lock recording pictures clean

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Tracewave needs Python 3.11 or newer; found: $(PYTHON). Set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	@touch $@

$(VENV)/.serve: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing Tracewave into $(VENV) (once, about a minute)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.serve requirements-test.lock tests/browser.py tests/prometheus_server.py
	@echo "Installing what the tests need"
	@$(PIP) --require-hashes -r requirements-test.lock
	@$(BIN)/python tests/browser.py
	@$(BIN)/python tests/prometheus_server.py
	@touch $@

setup: $(VENV)/.serve ## Install what is needed to run

setup-test: $(VENV)/.test ## Install what is needed to test

serve: setup ## Run the dashboard at http://127.0.0.1:5006 (ARGS="--source synthetic")
	@$(BIN)/tracewave serve $(ARGS)

test: setup-test ## Run the tests (ARGS="tests/test_windows.py")
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(ARGS)

test-slow: setup-test ## Run the tests that take longer
	@$(BIN)/python -m pytest -m slow $(PARALLEL) $(ARGS)

test-all: test test-slow ## Run all tests

check: setup-test ## Lint, types, layers and examples in docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q tracewave_panel

bench: setup-test ## Measure speed; a table, and JSON in benchmarks/results
	@$(BIN)/python benchmarks/speed.py $(ARGS)
	@$(BIN)/python benchmarks/viewers.py
	@$(BIN)/python benchmarks/stream_clients.py
	@$(BIN)/python benchmarks/history.py
	@$(BIN)/python benchmarks/history_load.py

bench-quality: setup-test ## Measure how good the engine is; reports in benchmarks/reports (CAPTURES=../shared/data)
	@$(BIN)/tracewave evaluate --out benchmarks/reports/simulated $(ARGS)
	@if [ -d "$(CAPTURES)" ]; then \
		$(BIN)/tracewave nab "$(CAPTURES)/nab" --out benchmarks/reports/nab \
			--published "$(CAPTURES)/nab_reference/published_per_file_scores.csv.gz" && \
		$(BIN)/python benchmarks/real_data.py "$(CAPTURES)" --out benchmarks/reports; \
	else echo "No captures at $(CAPTURES): the Numenta benchmark and the report on real data are left out"; fi
	@$(BIN)/python benchmarks/feed_clock.py

calibration: setup ## Make the shipped reference tables anew, from simulated feeds
	@$(BIN)/tracewave calibrate --simulated 5 --out tracewave_panel/reference_tables/wikimedia-1s.json

lock: setup-test ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile pyproject.toml --group build --extra test --extra lab --quiet --upgrade --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --output-file requirements-test.lock
	@$(BIN)/uv pip compile pyproject.toml --group build --constraint requirements-test.lock --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

recording: setup ## Make the bundled recording and its State anew
	@$(BIN)/tracewave simulate recordings/simulated-edits.jsonl.gz --overwrite

pictures: setup-test ## Make the README's pictures anew
	@$(BIN)/python tests/pictures.py

clean: ## Remove everything that was installed or made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/results
