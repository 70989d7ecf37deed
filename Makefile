# make test   sets up .venv on a fresh machine, then lint, type check and the test suite
# make demo   the whole path on a rendered sample world: encoders, captioner, scores, export, report
# make lint   lint and type check alone
# make docs   builds the docs site into build/docs, offline and strictly
# make clean  removes what these made
# Another interpreter: make test PYTHON=/path/to/python3.12

SHELL := /bin/sh
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c '$(SUITABLE)' 2>/dev/null; then echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: test demo lint docs clean venv test-docs test-faults test-distribution test-tfio test-beam

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

demo: $(READY)
	rm -rf runs/demo
	$(BIN)/glrg demo --out runs/demo

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

.venv-docs/.ready: requirements-docs.txt
	@if ! [ -x .venv-docs/bin/python ]; then "$(PYTHON)" -m venv .venv-docs; fi
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

# The commands of the pages that take long, examples and notebook included; `make test` runs the others.
test-docs: $(READY)
	GLRG_DOCS=all $(BIN)/python -m pytest -q tests/docs

# Kills, bit flips and truncations in full; `make test` runs a few of each.
test-faults: $(READY)
	$(BIN)/python -m tests.faults.mutations --flips 1000 --cuts 100
	$(BIN)/python -m tests.faults.kills --kills 200

# Training and evaluation by one device, two logical devices and two processes in full; `make test` does a few steps.
test-distribution: $(READY)
	$(BIN)/python -m tests.training.distributed_run --steps 50
	$(BIN)/python -m tests.training.distributed_encoders --epochs 10

# tensorflow-io's last release stands on TensorFlow 2.16 and Python 3.11: an environment of its own.
test-tfio:
	@if ! [ -x .venv-tfio/bin/python ]; then python3.11 -m venv .venv-tfio; fi
	.venv-tfio/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-tfio.txt
	.venv-tfio/bin/python tests/tfio/ffmpeg4.py .venv-tfio/ffmpeg4
	GLRG_TFIO_MUST_WORK=1 PYTHONPATH=. LD_LIBRARY_PATH=$(CURDIR)/.venv-tfio/ffmpeg4 \
	  .venv-tfio/bin/python -m pytest -q -p no:cacheprovider --noconftest tests/tfio

# Apache Beam wants an older protobuf than ours (TensorFlow 2.21 takes both): an environment of its own.
test-beam:
	@if ! [ -x .venv-beam/bin/python ]; then "$(PYTHON)" -m venv .venv-beam; fi
	.venv-beam/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-beam.txt pytest
	GLRG_BEAM_MUST_WORK=1 PYTHONPATH=. .venv-beam/bin/python -m pytest -q tests/encoders/test_beam.py tests/test_cli_beam.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

venv: $(READY)

# The stamp makes the second run quick: nothing is installed again until the pins change.
$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c '$(SUITABLE)'; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed; found: $$(python3 --version 2>&1). Try: make test PYTHON=/path/to/python3.12" >&2; \
	  exit 2; fi
	@if ! [ -x $(BIN)/python ]; then \
	  echo "making $(VENV) with $$("$(PYTHON)" --version)"; \
	  "$(PYTHON)" -m venv $(VENV) || "$(PYTHON)" -m virtualenv $(VENV) || { \
	    rm -rf $(VENV); echo "this Python can make no virtual environment (its venv module is missing)" >&2; exit 2; }; fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) .venv-docs .venv-tfio .venv-beam build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
