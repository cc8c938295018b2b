# `make demo` and `make test` work on a bare clone: they install into .venv first.
PYTHON ?= python3
CUDA ?= AUTO
VENV := .venv
RUN := $(VENV)/bin
ANY_PYTHON = $(or $(wildcard $(RUN)/python),$(PYTHON))
CMAKE = $(or $(wildcard $(RUN)/cmake),$(shell command -v cmake))
NINJA = $(or $(wildcard $(CURDIR)/$(RUN)/ninja),$(shell command -v ninja))

.PHONY: demo test test-gpu cuda-library sanitize-gpu lint bench bench-kernels native clean
.DEFAULT_GOAL := test

NATIVE := $(wildcard cmake/* plugins/exports.map plugins/*/*.h plugins/*/*.hpp plugins/*/*.cpp plugins/*/*.cu plugins/*/*.cuh plugins/include/vexkd/* engines/cpp/*/* engines/cpp/include/vexkd/*)

$(VENV)/installed: pyproject.toml CMakeLists.txt $(NATIVE)
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=24"
	$(RUN)/python -m pip install -e ".[train,rtx,dev]" -C cmake.define.VEXKD_CUDA=$(CUDA)
	touch $@

demo: $(VENV)/installed
	$(RUN)/python -m vexkd demo $(ARGS)

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n auto --dist loadfile $(ARGS)

# Installs nothing, so that a machine with torch, pytest, hypothesis and nvcc needs no network. Without the whole
# installation only the kernels' tests can be collected.
test-gpu: cuda-library
	$(ANY_PYTHON) -m pytest -m gpu $(if $(wildcard $(VENV)/installed),,$(shell grep -lE "mark.gpu|cuda_backends" tests/plugins/test_*.py)) $(ARGS)

cuda-library:
	$(ANY_PYTHON) -c "from vexkd.plugins.library import has_cuda; assert has_cuda()" 2>/dev/null || $(MAKE) native CUDA=ON

# The same tests under compute-sanitizer, without those that are only long.
sanitize-gpu: cuda-library
	for tool in memcheck racecheck synccheck; do \
		compute-sanitizer --tool $$tool --error-exitcode 1 $(ANY_PYTHON) -m pytest -m gpu -q -k "not 2_to_the_31 and not any_order" \
			tests/plugins/test_cuda_kernels.py tests/plugins/test_cuda_nms.py tests/plugins/test_cuda_prepare_images.py || exit 1; done

lint: $(VENV)/installed
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy
	git ls-files '*.h' '*.hpp' '*.cpp' '*.cu' '*.cuh' | xargs $(RUN)/clang-format --dry-run --Werror

# By default what `make demo` exported.
BUNDLES := runs/demo/bundles/detection
bench: $(VENV)/installed
	$(RUN)/python -m vexkd bench $(or $(ARGS),$(BUNDLES)-distill-lidar-fp32.vexkd --against $(BUNDLES)-teacher-fp32.vexkd)

bench-kernels: $(VENV)/installed
	$(RUN)/python -m benchmarks.kernels $(ARGS)

# The native tree into vexkd/native, where it hides the installed one: for work on the library.
native:
ifneq ($(CMAKE),)
	$(CMAKE) -S . -B build/native $(if $(NINJA),-G Ninja -DCMAKE_MAKE_PROGRAM=$(NINJA)) -DVEXKD_CUDA=$(CUDA) -DCMAKE_INSTALL_LIBDIR=lib -DPython_EXECUTABLE=$(abspath $(shell command -v $(ANY_PYTHON))) --log-level=NOTICE
	$(CMAKE) --build build/native --parallel $(shell nproc)
	$(CMAKE) --install build/native --prefix vexkd/native >/dev/null
else
	$(ANY_PYTHON) plugins/harness/build_native.py vexkd/native $(CUDA)
endif

clean:
	rm -rf build dist vexkd/native .pytest_cache .mypy_cache .ruff_cache .hypothesis
