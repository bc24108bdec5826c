# Everything that developers and CI do with this tree, by name. `make` alone lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(SUPPORTED)' 2>/dev/null && echo "$$name" && break; done)
PIP := .venv/bin/python -m pip
UV := uv==0.13.8
PORTKEY := 1.15.2

# What is installed for the user, or lies on PYTHONPATH, stays out of .venv.
export PYTHONNOUSERSITE := 1
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME

.PHONY: help
help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.installed ## install what is missing and serve on 127.0.0.1:8000 (ARGS="…" goes to gateway serve)
	@exec .venv/bin/gateway serve $(ARGS)

.PHONY: test
test: .venv/.installed-dev ## run the tests (ARGS="-k name" goes to pytest)
	.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

.PHONY: check
check: lint types test ## everything that CI asks of a change: lint, types, test

.PHONY: lint
lint: .venv/.installed-dev ## check formatting, style and layers
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports

.PHONY: types
types: .venv/.installed-dev ## check types, the tests' too
	.venv/bin/mypy

.PHONY: format
format: .venv/.installed-dev ## format, and fix what can be fixed
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: bench
bench: .venv/.installed-dev bench/.peers/.installed ## measure against peers, write bench/results.md (ARGS="--only session")
	.venv/bin/python -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: .venv/.installed ## the main figures in less than a minute, against ferrogw if make bench has installed it
	.venv/bin/python -m bench --quick $(ARGS)

# One resolution for every supported Python and platform. Pins stay as they are unless pyproject.toml rules them out;
# the second file takes its pins from the first, so that both install into one environment.
.PHONY: lock
lock: .venv-lock/.installed ## pin the dependencies anew, with hashes (ARGS=--upgrade takes newer versions)
	$(COMPILE) --extra redis --extra otlp --output-file constraints.txt pyproject.toml
	$(COMPILE) --output-file constraints-dev.txt --extra dev --constraint constraints.txt pyproject.toml

COMPILE = .venv-lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--group build --custom-compile-command "make lock" $(ARGS)

.PHONY: clean
clean: ## remove environments, caches and builds (stored sessions in ./data stay)
	rm -rf .venv .venv-lock bench/.peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ── environments ─────────────────────────────────────────────────────────────────────────────────────────────────
# A stamp is touched only when its install has ended well, so that one that broke off is simply done again.

# Shell: make the virtual environment $(1), or say what is missing for it.
define create_environment
	python="$(PYTHON)"; \
	say() { echo "$$@" >&2; exit 1; }; \
	test -n "$$python" \
		|| say "No Python 3.11, 3.12 or 3.13 was found. Install one, or name it: make PYTHON=/path/to/python3.12"; \
	"$$python" -c '$(SUPPORTED)' 2>/dev/null \
		|| say "$$python is not a Python 3.11, 3.12 or 3.13: name one with PYTHON=/path/to/python3.12"; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null \
		|| say "$$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; \
	echo "Making $(1) with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear $(1)
endef

.venv/.installed: pyproject.toml constraints.txt
	@$(PIP) --version >/dev/null 2>&1 || { $(call create_environment,.venv); }
	@echo "Installing the gateway and what it needs into .venv (the first time, about a minute) ..."
	@$(PIP) install --quiet --quiet --require-hashes -r constraints.txt
	@$(PIP) install --quiet --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed constraints-dev.txt
	@echo "Installing the tools for tests and checks into .venv ..."
	@$(PIP) install --quiet --quiet --require-hashes -r constraints-dev.txt
	@touch $@

.venv-lock/.installed: Makefile
	@$(call create_environment,.venv-lock)
	@.venv-lock/bin/python -m pip install --quiet --quiet $(UV)
	@touch $@

# What the gateway is measured against shares nothing with it. Without Node, Portkey is left out.
bench/.peers/.installed: bench/peers.txt Makefile
	@$(call create_environment,bench/.peers/python)
	@echo "Installing what is measured against into bench/.peers (a minute or two) ..."
	@bench/.peers/python/bin/python -m pip install --quiet --quiet -r bench/peers.txt
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --prefix bench/.peers/portkey @portkey-ai/gateway@$(PORTKEY); \
	fi
	@touch $@
