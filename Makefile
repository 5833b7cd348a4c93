# Two commands: `make demo` runs the main job on the bundled models, `make test` holds the project's promises.
PYTHON ?= python3
VENV ?= .venv
ZOO ?= .venv-zoo
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-slow lint install zoo train calibrate tour clean

demo: $(VENV)/.demo-ready
	$(BIN)/sigmascope demo

test: $(VENV)/.dev-ready lint
	$(BIN)/python -m pytest -n 2 -q

test-slow: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -n 2 -q -m slow

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train: $(VENV)/.dev-ready   # retrain the bundled digits models: about half an hour on two cores
	$(BIN)/python -m sigmascope.fixtures.train_digits

calibrate: $(VENV)/.dev-ready   # false alarms and misses of the gates: 500 gates a setting; writes docs/calibration.md
	$(BIN)/python benchmarks/calibrate.py

tour: $(VENV)/.dev-ready   # walks docs/tour.md in Chromium on the demo's run, and takes its pictures again
	TOUR_PICTURES=docs/tour $(BIN)/python -m pytest -q -m slow tests/dashboards/test_tour.py

install: $(VENV)/.dev-ready

zoo: $(ZOO)/.ready   # foreign models from the registry, against their own functions
	$(ZOO)/bin/python -m pytest -q tests/zoo

$(VENV)/bin/pip:
	@echo "Creating $(VENV)"
	$(PYTHON) -m venv $(VENV)

# torch stands on the same line as the rest: a later line would take a newer build.
$(VENV)/.demo-ready: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "Installing sigmascope and what it needs (about two minutes)"
	$(BIN)/pip install --quiet --constraint constraints.txt torch --editable '.[demo]'
	@touch $@

$(VENV)/.dev-ready: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "Installing sigmascope with its development tools (about two minutes)"
	$(BIN)/pip install --quiet --constraint constraints.txt torch --editable '.[dev]'
	@touch $@ $(VENV)/.demo-ready

$(ZOO)/.ready: pyproject.toml constraints.txt tests/zoo/requirements.txt
	$(PYTHON) -m venv $(ZOO)
	$(ZOO)/bin/pip install --quiet --constraint constraints.txt torch --editable '.[dev]'
	$(ZOO)/bin/pip install --quiet --no-deps --requirement tests/zoo/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(ZOO) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
