# venv: an environment with the tested set of packages; demo, test, slow, lint, bench: run in it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: venv demo test slow lint bench

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "protophone needs Python 3.11 or later: make venv PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[test,lint]'
	$(BIN)/python -m pip install -c constraints.txt --no-deps resemblyzer  # its weights alone; the rest needs a compiler
	touch $@

demo: venv
	$(BIN)/python examples/demo.py

test: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --cov -n auto  # a test a core

slow: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n auto  # the fuzzer and the kills that test leaves out

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos
	$(BIN)/lint-imports

bench: venv
	for script in benchmarks/griffin_lim.py benchmarks/round_trip.py; do $(BIN)/python $$script || exit 1; done
