# make demo     the main job, end to end, on real Wikipedia text
# make test     all tests, on up to four cores
# make check    linters, formatter and types
# make bench    all benchmarks at a small size; SIZE=full for their numbers
# make horovod  Horovod, built for this TensorFlow; make test does it too
# Each makes .venv with the pinned packages first, if it is not there.

PYTHON ?= python3.11
SIZE ?= small
VENV := .venv
READY := $(VENV)/ready
HOROVOD := $(VENV)/horovod

.PHONY: demo test check bench horovod clean

demo: $(READY)
	$(VENV)/bin/python launch/demo.py

test: $(READY) $(HOROVOD)
	$(VENV)/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(READY) $(HOROVOD)
	$(VENV)/bin/python -m benchmarks --size=$(SIZE)

horovod: $(HOROVOD)

$(HOROVOD): $(READY) launch/install_horovod.sh launch/try_horovod.py
	PYTHON=$(VENV)/bin/python launch/install_horovod.sh
	touch $(HOROVOD)

# The mark comes last, so an installation that was cut is done again.
$(READY): requirements.txt pyproject.toml
	@echo "Making $(VENV): 3.5 GB of packages, some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV) runs data
