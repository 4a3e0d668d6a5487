# Each verb sets up .venv by itself when it is missing or older than the lock file.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/ready
# Real data for tests and benchmarks, where they are at hand: the folder that holds magnetic_tile/
HARNESS_DATA ?= $(wildcard $(abspath ../shared/data))
ifneq ($(HARNESS_DATA),)
export HARNESS_DATA
endif
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-all check ui bench bench-audit bench-monitor bench-new bench-predict bench-promotion bench-report bench-scale bench-statistics soak lock clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(READY) ## run the study small_defects on built-in data
	$(BIN)/python -m harness.study run small_defects

test: $(READY) ## run the tests that take seconds
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: $(READY) ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(READY) ## style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

ui: $(READY) ## MLflow's pages on what was run here
	$(BIN)/python -m harness.study ui

bench: $(READY) ## time, as ratios side by side
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.outoffold

bench-audit: $(READY) ## plant copies in drawn surfaces and count what the audit finds (tens of minutes)
	$(BIN)/python -m benchmarks.audit

bench-monitor: $(READY) ## how often new pictures are called drift, with drift and without (a quarter of an hour)
	$(BIN)/python -m benchmarks.monitor
	$(BIN)/python -m benchmarks.monitor_answers

bench-promotion: $(READY) ## promotions that are no better, over four looks; the same masks in every way (long)
	$(BIN)/python -m benchmarks.null_promotions
	$(BIN)/python -m benchmarks.null_nested
	$(BIN)/python -m benchmarks.same_masks

bench-new: $(READY) ## new and check on magnetic_tile's pictures alone, beside the pack's own groups (HARNESS_DATA)
	$(BIN)/python -m benchmarks.own_data

bench-predict: $(READY) ## memory at 20,000 x 20,000 px, time at 4,096 x 4,096 beside a plain loop (tens of minutes)
	$(BIN)/python -m benchmarks.predict_memory
	$(BIN)/python -m benchmarks.predict_speed

bench-report: $(READY) ## seconds and sizes of the leakage report at 100,000 images, of the study's at 5,000 trials
	$(BIN)/python -m benchmarks.report_size
	$(BIN)/python -m benchmarks.report_page

bench-scale: $(READY) ## seconds and memory of an audit of 10,000 and 50,000 pictures (long)
	$(BIN)/python -m benchmarks.scale

bench-statistics: $(READY) ## draw studies with a known truth: intervals, optimism, held-out tests (minutes)
	$(BIN)/python -m benchmarks.simulations

soak: $(READY) ## kill -9 and stop again and again, and compare numbers of workers (more than an hour)
	$(BIN)/python -m benchmarks.soak_checkpoint
	$(BIN)/python -m benchmarks.soak_writes
	$(BIN)/python -m benchmarks.soak_kills
	$(BIN)/python -m benchmarks.soak_workers
	$(BIN)/python -m benchmarks.soak_stops
	$(BIN)/python -m benchmarks.soak_promotions

lock: ## make requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-annotate -q -o requirements.lock

clean: ## remove .venv and caches; results in mlruns stay
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache build *.egg-info

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 found; install one, or name it: make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
