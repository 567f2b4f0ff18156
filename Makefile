# Everything a newcomer needs. Each target sets up what it needs in .venv; only Python (3.10 or newer) and make must exist.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-frameworks collector peers lint format reference bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: $(VENV)/.demo ## Watch a real model drift, alert and recover: make demo [ARGS="--headless --json"]
	@$(BIN)/otel-ml demo $(ARGS)

test: $(VENV)/.dev ## Run every test
	@$(BIN)/python -m pytest $(ARGS)

test-frameworks: $(VENV)/.dev ## Run every framework's tests, each in an environment of its own: [ARGS="bentoml ray"]
	@$(BIN)/python tests/frameworks/run.py $(ARGS)

collector: ## Build the Collector of deploy/collector/manifest.yaml (needs Go), and say where it is
	@$(PYTHON) deploy/collector/build.py

peers: ## Obtain what tests/integration runs against: [PEERS="collector helm …"]
	@$(PYTHON) tests/peers/build.py $(or $(PEERS),all)

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

reference: $(VENV)/.dev ## Write docs/reference anew, after a name, a setting, a command or a variable has changed
	@$(BIN)/python docs/reference/generate.py

bench: $(VENV)/.dev ## Measure: make bench [ARGS="hot_path --json"]
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp per set of extras, renewed when pyproject.toml changes. What setting up has to say goes to stderr, so that
# `make demo ARGS="--headless --json"` leaves stdout to the JSON.
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: pyproject.toml | $(VENV)/.created
	@echo "Installing otel-ml[$*] into $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]" >&2
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "otel-ml needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip >&2
	@touch $@
