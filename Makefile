# Everything runs in a virtual environment that these targets build themselves: .venv, or VENV=folder.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
# The device's suite has an environment of its own, without TensorFlow.
VENV_EDGE ?= .venv-edge
# As many processes as run the tests at once.
JOBS ?= 2

.PHONY: demo test test-edge check docs bench fuzz hang kills soak lab arm64 clean help

help:
	@echo "make demo    adapt, prune, quantize, compare, denoise a simulated camera (minutes, leaves runs/demo/)"
	@echo "make test    the tests, in two processes (JOBS=N for another number)"
	@echo "make test-edge  the device's tests alone, without TensorFlow: on a Raspberry Pi too"
	@echo "make check   format, lint, types, import rules, the documentation without a dead link"
	@echo "make docs    the documentation as a site: docs/_build/html/index.html"
	@echo "make bench   latency of the shipped model on this machine"
	@echo "make fuzz    random inputs for whatever strangers reach, three minutes a target (ARGS='TARGET --seconds N --seed N')"
	@echo "make hang    a library, a disk, the camera and the configuration hang: page, frames, stop (half an hour; ARGS=--rounds N)"
	@echo "make kills   recordings are killed (kill -9) 30 times in each format, a publisher's server 30 times: all that was finished plays; 1,000 updates: a whole bundle is in use"
	@echo "make soak    100,000 frames through the runtime: memory, threads and files must stay flat (ARGS=--frames N)"
	@echo "make lab     real drivers, boots and power cuts in a Debian guest under qemu (SCENARIO=NAME for one; ARGS=--list)"
	@echo "make arm64   the device's installation and tests on arm64: on this machine if it is one, else under emulation (sudo, hours)"
	@echo "make clean   remove the virtual environments, caches and runs/demo"

demo: $(READY)
	$(BIN)/quietcam demo $(ARGS)

test: $(READY)
	@echo "About 4,400 tests, thirteen minutes of processor time: seven to eight minutes on two idle cores, longer by as much as others use them."
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-edge: $(VENV_EDGE)/.ready
	$(VENV_EDGE)/bin/python -m pytest -m "not slow" tests/edge tests/quietcam $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory docs

docs: $(READY)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(READY)
	$(BIN)/quietcam bench --json -

fuzz: $(READY)
	$(BIN)/python -m fuzz $(ARGS)

hang: $(READY)
	$(BIN)/python lab/hang.py $(ARGS)

kills: $(READY)
	QUIETCAM_KILLS=30 $(BIN)/python -m pytest tests/edge/sinks -k kill $(ARGS)
	QUIETCAM_UPDATE_KILLS=500 $(BIN)/python -m pytest tests/edge/update tests/deploy/release -k kill --durations 2 $(ARGS)

soak: $(READY)
	$(BIN)/python -m benchmarks.device.soak $(ARGS)

lab: $(READY)
	$(BIN)/python -m lab $(SCENARIO) $(ARGS)

arm64: $(VENV_EDGE)/.ready
	PYTHON=$(VENV_EDGE)/bin/python lab/arm64.sh $(ARGS)

clean:
	rm -rf $(VENV) $(VENV_EDGE) runs/demo docs/_build docs/reference/commands build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): EXTRA = dev
$(VENV_EDGE)/.ready: EXTRA = test-edge
$(READY) $(VENV_EDGE)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "quietcam needs Python 3.11 or later: install it, or name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(@D) || { echo "No venv module: on Debian and its kin, apt install python3-venv"; exit 1; }
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRA)]'
	touch $@
