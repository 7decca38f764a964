# make demo   a sweep on sample photographs, from nothing, in minutes
# make test   the tests
# make bench  speed beside plain loops and a plain DataLoader, in half an hour; keep the machine idle
# make lint   ruff and mypy
# make venv   the virtual environment alone, from the exact versions in requirements.lock
# make lock   new exact versions, after pyproject.toml changed

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow cluster bench lint venv lock

# Under 8 minutes on 2 cores: a small network and small crops, 10 trials of 300 steps.
demo: venv
	$(BIN)/python jobs/tune_qrc.py --data samples --storage results --workers 2 --trials 10 \
	  --backbone shallow --image-size 72 --input-size 64 --labelled-pairs 16 --unlabelled-sets 16 \
	  --steps 300

# Files side by side: tests on a real Ray mostly wait for its processes to start.
test: venv
	$(BIN)/python -m pytest -m "not slow and not cluster" -n 3 --dist loadfile --no-loadscope-reorder

slow: venv
	$(BIN)/python -m pytest -m slow

# A cluster of three hosts on this one machine, and what happens when they fail; as root, on Linux.
# Where OpenSSH's server is installed, `ray up cluster.yaml` to such hosts, too.
cluster: venv
	$(BIN)/python -m pytest -m cluster -s

bench: venv
	$(BIN)/python tests/benchmarks/bench_streams.py
	$(BIN)/python tests/benchmarks/bench_sweep.py --trials 2
	$(BIN)/python tests/benchmarks/bench_scoring.py

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

venv: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rankloop needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock: venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra aws --no-header \
	  --generate-hashes pyproject.toml -o requirements.lock
