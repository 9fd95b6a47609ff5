# Two commands: `make demo` trains a tiny model by self-play, `make test` checks
# everything. Each makes its own .venv first. pip runs with your own settings.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test clean

help:
	@echo "make demo    train a tiny model by self-play and write a report to runs/demo"
	@echo "make test    linters, types and tests"
	@echo "make clean   remove $(VENV), caches and builds (runs/ stays)"
	@echo "Another Python: make PYTHON=python3.12 demo"

demo: $(INSTALLED)
	$(BIN)/python -m omar_trainers.demo --out runs/demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

# pip is asked for, not python: a creation of the environment that was cut off
# leaves a python without pip, and making it again repairs that.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "omar-envs needs Python 3.11 or newer, and '$(PYTHON)' is not that." \
		"Name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "'$(PYTHON)' cannot make virtual environments." \
		"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[train,openai,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find omar_envs trainers tests -name __pycache__ -type d -prune -exec rm -rf {} +
