# make demo   the main job, end to end, on real Wikipedia text
# make test   all tests
# make check  linters, formatter and types
# Each makes .venv with the pinned packages first, if it is not there.

PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/ready

.PHONY: demo test check clean

demo: $(READY)
	$(VENV)/bin/python launch/demo.py

test: $(READY)
	$(VENV)/bin/python -m pytest

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The mark comes last, so an installation that was cut is done again.
$(READY): requirements.txt pyproject.toml
	@echo "Making $(VENV): 3.5 GB of packages, some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV) runs data
