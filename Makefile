# `make demo` and `make test` work on a bare clone: they install into .venv first.
PYTHON ?= python3
CUDA ?= AUTO
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test test-gpu lint bench bench-kernels native clean
.DEFAULT_GOAL := test

NATIVE := $(wildcard plugins/kernels/* plugins/tensorrt/* plugins/include/vexkd/*)

$(VENV)/installed: pyproject.toml CMakeLists.txt $(NATIVE)
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=24"
	$(RUN)/python -m pip install -e ".[train,rtx,dev]" -C cmake.define.VEXKD_CUDA=$(CUDA)
	touch $@

demo: $(VENV)/installed
	$(RUN)/python -m vexkd demo $(ARGS)

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-gpu:
	$(or $(wildcard $(RUN)/python),$(PYTHON)) -m pytest -m gpu $(ARGS)

lint: $(VENV)/installed
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy
	git ls-files '*.h' '*.hpp' '*.cpp' '*.cu' '*.cuh' | xargs $(RUN)/clang-format --dry-run --Werror

bench: $(VENV)/installed
	$(RUN)/python -m vexkd bench $(ARGS)

bench-kernels: $(VENV)/installed
	$(RUN)/python -m benchmarks.kernels $(ARGS)

# The native libraries into plugins/lib, where they hide the installed ones: for work on the kernels.
native:
	$(RUN)/cmake -S . -B build/native -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(RUN)/ninja -DVEXKD_CUDA=$(CUDA) --log-level=NOTICE
	$(RUN)/cmake --build build/native
	install -D -t plugins/lib build/native/libvexkd_*.so

clean:
	rm -rf build dist plugins/lib .pytest_cache .mypy_cache .ruff_cache .hypothesis
