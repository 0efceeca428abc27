# Everything runs in .venv; `make help` lists the targets. Needs Python 3.11+, a C++ compiler and pip's index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What an editable install depends on: Python files are picked up as they are, but it knows them by name.
MODULES := $(shell find python/pith dialect passes lowering -name '*.py' | LC_ALL=C sort | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.installed-$(MODULES)
INSTALL_INPUTS := pyproject.toml CMakeLists.txt $(wildcard runtime/*.cpp runtime/*.h runtime/emulator/*.cpp runtime/emulator/*.h)
# The demo's model comes from a wheel; nothing is fetched from a hub.
export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint typing lit pytest fuzz bench docs format clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install pith into it (nothing to do: under a second)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: pith needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; \
	  echo "  hint: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/pyvenv.cfg $(INSTALL_INPUTS)
	@echo "installing pith, PyTorch and what the demo and the tests need into $(VENV): some minutes the first time"
	$(BIN)/pip install --disable-pip-version-check --quiet -e '.[torch,demo,dev]'
	@rm -f $(VENV)/.installed-* && touch $@

demo: setup ## prune, compile and run a sentence encoder: the main job
	$(BIN)/pith demo

test: ## set up and run every check: lint, types, lit, pytest (cheap ones first)
	@start=$$(date +%s); \
	for step in setup lint typing lit pytest; do \
	  echo "== make $$step"; \
	  $(MAKE) --no-print-directory $$step || { echo "== make test: FAILED in make $$step"; exit 1; }; \
	done; \
	echo "== make test: setup, lint, typing, lit and pytest passed in $$(($$(date +%s) - start)) s"

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

# The layers lie at the top of the checkout but are sub-packages of pith: pyright sees them in
# their places through a tree of links.
typing: setup ## pyright over the package
	@rm -rf build/typing && mkdir -p build/typing && cp -rs "$(CURDIR)/python/pith" build/typing/pith
	@for layer in dialect passes lowering; do cp -rs "$(CURDIR)/$$layer" build/typing/pith/$$layer; done
	$(BIN)/pyright

lit: setup ## IR tests: pith-opt and filecheck
	$(BIN)/lit -sv --no-progress-bar --order=lexical test

# A file's tests run in one process, as many processes as there are cores: threads of OpenMP that wait must not spin.
pytest: setup ## unit tests, doctests, bindings, end-to-end
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --dist loadfile

# Their examples are the same in every run of the tests; here they are new ones.
fuzz: setup ## property tests on new random examples
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --dist loadfile --hypothesis-profile=fuzz $(shell grep -rl hypothesis test --include='test_*.py')

bench: setup ## measure against peers
	$(BIN)/python -m bench

docs: setup ## regenerate docs/dialect.md and docs/passes.md
	$(BIN)/python -m pith.tools.gendocs

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what builds and tests leave behind
	rm -rf build dist pith-ir .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	rm -rf $(VENV)
