# Every target sets up its own virtual environment; python3 with pip, and make, are all it needs.
#   make demo    fit the shipped El Niño data and write demo/report.html
#   make reproduce   every figure of the paper, judged claim by claim: reproduction/report.html
#   make test    the tests (about as long as a coffee; the wide sweeps are in `make slow`)
#   make check   formatter, linter, type checker
#   make docs    this library's site, without a network: docs/_build/html/index.html
#   make bench   side by side with other solvers, as ratios

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo reproduce test slow check docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.has-cli
	$(BIN)/mtrelu fit el-nino --out demo --force

reproduce: $(VENV)/.has-reproduce
	$(BIN)/mtrelu reproduce --quick --out reproduction

test: $(VENV)/.has-test
	$(BIN)/python -m pytest -n 2

slow: $(VENV)/.has-test
	$(BIN)/python -m pytest -n 2 -m slow

check: $(VENV)/.has-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.has-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/.has-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo reproduction reproduction-of-one-seed build dist docs/_build docs/gallery docs/reference docs/sg_execution_times.rst .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each extra of pyproject.toml: the second time, nothing is installed.
$(VENV)/.has-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
