# Everything runs in .venv, which any target makes from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
BUILD := build/editable
export PATH := $(BIN):$(PATH)

NATIVE := $(shell find csrc cuda CMakeLists.txt pyproject.toml -type f 2>/dev/null)
EMULATION := $(shell find tests/cuda_emulation -type f 2>/dev/null)
CXX_FILES := $(shell find csrc cuda tests/native tests/cuda_emulation bench/native -name '*.[ch]pp' -o -name '*.cu*' -o -name '*.h')

# Where there is a GPU, kernels for it; else for one architecture, to see that they compile.
export COALIGN_CUDA_ARCHITECTURES ?= $(if $(shell command -v nvidia-smi),,90-real)

.PHONY: install test check contract demo docs bench bench-math plot gpu mutate format lint native emulation clean

install: $(VENV)/installed

$(VENV)/tools: pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -r requirements-dev.txt "numpy>=1.25" array-api-compat
	touch $@

# An editable install: Python edits are live, and this target builds again when a native file has changed.
$(VENV)/installed: $(VENV)/tools $(NATIVE)
	$(BIN)/python -m pip install -q --no-build-isolation -Cbuild-dir=$(BUILD) \
	    -Ccmake.define.COALIGN_WERROR=ON -e ".[test,sparse,progress,demo]"
	touch $@

# Some files make what all their tests share, such as a build of the kernels: each file stays in one process.
# Tests of the wheel already installed in the interpreter: make test TEST_PYTHON=/path/to/python
TEST_PYTHON ?=
ifeq ($(TEST_PYTHON),)
TEST_PYTHON := $(BIN)/python
test: install native emulation
else
test: native emulation
endif
	$(TEST_PYTHON) -m pytest -q -n logical --dist loadfile

# The CUDA module over an emulated GPU, for the interpreter that makes it.
emulation: build/emulation/ready

build/emulation/ready: $(VENV)/tools $(NATIVE) $(EMULATION)
	cmake --preset emulation -G Ninja -DPython_EXECUTABLE=$(BIN)/python \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) > /dev/null
	cmake --build --preset emulation
	touch $@

# Native tests, as plain executables: under the address, undefined-behaviour and thread sanitizers, and what takes every
# float32 as it is released.
native: $(VENV)/tools
	for preset in asan tsan exhaustive; do \
	  cmake --preset $$preset -G Ninja > /dev/null && cmake --build --preset $$preset && ctest --preset $$preset || exit 1; \
	done

check: install emulation lint
	$(BIN)/python -m pytest -q -m "not slow" -x

lint: $(VENV)/tools
	ruff check .
	ruff format --check .
	clang-format --dry-run -Werror $(CXX_FILES)
	mypy --python-version 3.10
	mypy --python-version 3.14

format: $(VENV)/tools
	ruff check --fix -q .
	ruff format .
	clang-format -i $(CXX_FILES)

# docs/contract.md, from the rows and promises that the tests hold each function to.
contract: install
	$(BIN)/python tests/contract.py

demo: install
	$(BIN)/python -m coalign demo

$(VENV)/docs: $(VENV)/tools docs/requirements.txt
	$(BIN)/python -m pip install -q -r docs/requirements.txt
	touch $@

# The site, in build/site; a warning is an error.
docs: install $(VENV)/docs
	rm -rf build/site
	$(BIN)/sphinx-build -q -W --keep-going -E -d build/doctrees docs build/site

mutate: install
	$(BIN)/python tests/mutations/run.py

BENCH_PYTHON := build/bench/bin/python

build/bench/ready: bench/requirements.txt bench/requirements-nodeps.txt
	$(PYTHON) -m venv build/bench
	$(BENCH_PYTHON) -m pip install -q -r bench/requirements.txt
	$(BENCH_PYTHON) -m pip install -q --no-deps -r bench/requirements-nodeps.txt
	touch $@

# One of them: make bench SUITES=assignment. Options of pytest-benchmark go into BENCH; a census takes none.
SUITES ?= warping assignment calls census ctc ctc_census closed_forms transport_functions soft_warping warping_functions \
          warping_census
bench: build/bench/ready
	$(BENCH_PYTHON) -m pip install -q .
	for suite in $(SUITES); do \
	  case $$suite in *census) $(BENCH_PYTHON) bench/census.py $$suite bench/latest-$$suite.json ;; \
	  *) $(BENCH_PYTHON) -m pytest bench/test_bench_$$suite.py -q --benchmark-json bench/latest-$$suite.json \
	      -W default::pytest_benchmark.logger.PytestBenchmarkWarning $(BENCH) ;; esac && \
	  $(BENCH_PYTHON) bench/report.py bench/latest-$$suite.json || exit 1; \
	done

# What exp, log, log-sum-exp and the reductions cost per element, on every instruction set.
bench-math: $(VENV)/tools
	cmake --preset default -G Ninja > /dev/null && cmake --build --preset default --target bench_math
	build/default/tests/native/bench_math

# Time against size, seven minutes; the records and the pictures are committed.
plot:
	$(MAKE) bench SUITES="scaling ctc_scaling transport_scaling"
	for suite in ctc_scaling transport_scaling; do \
	  $(BENCH_PYTHON) bench/report.py bench/latest-$$suite.json --record bench/results/$$suite.json || exit 1; \
	done
	$(BENCH_PYTHON) bench/report.py bench/latest-scaling.json --record bench/results/scaling.json --documents

# On a machine with a GPU, offline: build, test, check, measure. Packages that it lacks come from WHEELS=folder.
RESULTS ?= bench/results
gpu:
	$(PYTHON) bench/gpu.py --results $(RESULTS) $(if $(WHEELS),--wheels $(WHEELS))

clean:
	rm -rf build dist $(VENV) coalign-demo docs/gallery
