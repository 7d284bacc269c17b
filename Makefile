# Needs Python 3.11 or newer and a C compiler. Every target builds what it needs, in a virtual environment of its own.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.tracezip-installed
BUILT := $(VENV)/.tracezip-built
NATIVE := $(wildcard csrc/*.c csrc/*.h tracezip/*.pyx tracezip/*.pxd)

.DEFAULT_GOAL := help
.PHONY: help build demo test collector clients bench bench-quick bench-suite lint types format clean

help:
	@echo "make demo         compress a real sample, compare with gzip and zstd, show a trace"
	@echo "make test         run the tests"
	@echo "make collector    build the OpenTelemetry Collector that tests run, out of its Go modules (once; some minutes)"
	@echo "make clients      the same with the services in Go, Java and Node.js that tests run"
	@echo "make bench        all sizes and speeds, tables and plots (TRACEZIP_DATA names a folder of *.otlp.zst; 25 min)"
	@echo "make bench-quick  the same on the bundled sample, in a minute"
	@echo "make bench-suite  the same codecs through pytest-benchmark"
	@echo "make lint types   check style, formatting and types; make format applies the style"
	@echo "make clean        remove the environment and everything built"

# Everything but Spark, which is 500 MB and needs Java: `pip install '.[spark]'`. The package stays editable; the compiler's warnings in csrc/ are errors here, as in CI. PYTHONWARNINGS hides one of
# setuptools about editable packages in general; pip still prints everything when the build fails.
$(INSTALLED): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tracezip needs Python 3.11 or newer; say which one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	TRACEZIP_WERROR=1 PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[test,bench,dev,otel,tables]'
	@touch $@

$(BUILT): $(INSTALLED) $(NATIVE)
	TRACEZIP_WERROR=1 $(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

build: $(BUILT)

demo: $(BUILT)
	@$(BIN)/python examples/demo.py

test: $(BUILT)
	$(BIN)/python -m pytest

# They need Go, Maven and npm, and are kept in the user's cache until their sources change. Tests that need one that is
# not there are skipped.
collector: $(INSTALLED)
	@$(BIN)/python -m tests.programs collector

clients: $(INSTALLED)
	@$(BIN)/python -m tests.programs clients/go clients/java clients/node

# BENCH=--readme puts the figures into README.md too; python -m benchmarks --help lists what else there is.
bench: $(BUILT)
	$(BIN)/python -m benchmarks $(BENCH)

bench-quick: $(BUILT)
	$(BIN)/python -m benchmarks --quick $(BENCH)

bench-suite: $(BUILT)
	$(BIN)/python -m pytest benchmarks

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror csrc/*.c csrc/*.h

types: $(BUILT)
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i csrc/*.c csrc/*.h

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f tracezip/*.so tracezip/_native.c
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
