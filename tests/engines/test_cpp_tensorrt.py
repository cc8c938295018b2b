"""The C++ runtime's TensorRT backend, without a GPU.

It is driven here against a TensorRT and a CUDA of our own (fake_tensorrt/), which do what is documented and no more,
and against the library of TensorRT for RTX as far as that goes where no GPU is: loading, version, plugins, refusals.
"""

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vexkd.plugins.library import find_library

ROOT = Path(__file__).parents[2]
FAKES = Path(__file__).parent / "fake_tensorrt"
SOURCES = ROOT / "engines" / "cpp" / "src"
FLAGS = (
    "-std=c++17",
    "-g",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pthread",
    *os.environ.get("CXXFLAGS", "").split(),
)
OK, INCOMPATIBLE, NO_BACKEND, BACKEND_FAILED, BAD_FRAME = 0, 22, 23, 24, 27
HOST, DEVICE = 0, 1
LIBRARY = find_library()

TENSORS = """input points float32 2 5
input count int32 1
input images uint8 1 2 3
output scores float32 4
output labels int32 3
"""
INPUTS: tuple[tuple[tuple[int, ...], type], ...] = (((2, 5), np.float32), ((1,), np.int32), ((1, 2, 3), np.uint8))
OUTPUTS: tuple[tuple[tuple[int, ...], type], ...] = (((4,), np.float32), ((3,), np.int32))


def first(paths: list[Path], name: str) -> Path | None:
    return next((path for path in paths if (path / name).is_file()), None)


def find_headers() -> tuple[Path, Path]:
    """Folders of TensorRT's and of CUDA's headers."""
    root, nvcc = Path(os.environ.get("TENSORRT_ROOT", "/nowhere")), shutil.which("nvcc")
    tensorrt = first([root / "include", root, Path("/usr/include/x86_64-linux-gnu"), Path("/usr/include")], "NvInfer.h")
    homes = [Path("/usr/local/cuda"), *([Path(nvcc).resolve().parents[1]] if nvcc else [])]
    cuda = first([home / "include" for home in homes], "cuda_runtime_api.h")
    if tensorrt is None or cuda is None:
        pytest.skip("needs NvInfer.h and the CUDA headers; set TENSORRT_ROOT to a folder with TensorRT's headers")
    return tensorrt, cuda


def build(target: Path, sources: list[Path], *options: str) -> Path:
    """Compile a shared library, or where the name says so an object of all sources."""
    kind = ("-r", "-nostdlib") if target.suffix == ".o" else ("-shared", "-ldl")
    command = [os.environ.get("CXX", "c++"), *FLAGS, *map(str, sources), *options, *kind, "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def write_stubs(headers: Path, target: Path) -> None:
    """Classes that end the process in every pure function of TensorRT's, so that a fake has only those it needs."""
    text = "#pragma once\n#pragma GCC system_header\n#include <cstdlib>\nnamespace nvinfer1 {\n"
    for name, file, space in (
        *((f"V{name}", "NvInferImpl.h", "apiv") for name in ("Runtime", "CudaEngine", "ExecutionContext")),
        ("IPluginRegistry", "NvInferRuntimeCommon.h", ""),
    ):
        body = re.sub(r"//.*", "", (headers / file).read_text(encoding="utf-8"))
        found = re.search(rf"class {name}( : public VRoot)?\s*{{(.*?)\n}};", body, re.DOTALL)
        assert found is not None, name
        pure = re.findall(r"virtual ([^;~]*?)\s*= 0;", found.group(2))
        stub = name.removeprefix("I") + "Stub"
        lines = "\n".join(f"  {re.sub(r' = [^,)]*', '', one)} override {{ std::abort(); }}" for one in pure)
        text += f"namespace {space} {{\n" if space else ""
        text += f"class {stub} : public {name} {{\n public:\n{lines}\n}};\n" + ("}\n" if space else "")
    target.write_text(text + "}\n", encoding="utf-8")


@dataclass(frozen=True)
class Built:
    """The compiled libraries: the backend, twice, and what it runs on."""

    backend: Path
    """On the fake CUDA."""
    real: Path | None
    """On CUDA's own runtime, where that is."""
    tensorrt: Path
    major: int
    version: str
    folder: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    tensorrt, cuda = find_headers()
    numbers = re.findall(r"TRT_(?:MAJOR|MINOR)_ENTERPRISE (\d+)", (tensorrt / "NvInferVersion.h").read_text())
    if not numbers or int(numbers[0]) < 11:
        pytest.skip(f"the fake TensorRT is of generation 11 on, the headers are of {numbers}")
    json = importlib.util.find_spec("nlohmann_json")
    assert json is not None and json.origin is not None
    folder = tmp_path_factory.mktemp("tensorrt")
    write_stubs(tensorrt, folder / "stubs.hpp")
    includes = [f"-I{path}" for path in (SOURCES, SOURCES.parent / "include", ROOT / "plugins" / "include", folder)]
    systems = (tensorrt, cuda, Path(json.origin).parent / "include")
    includes += [option for path in systems for option in ("-isystem", str(path))]
    fake_cuda = build(folder / "libfakecuda.so", [FAKES / "fake_cuda.cpp"], *includes)
    soname = f"-Wl,-soname,libnvinfer.so.{numbers[0]}"
    nvinfer = build(
        folder / "libnvinfer_fake.so",
        [FAKES / "fake_nvinfer.cpp", fake_cuda],
        *includes,
        f"-Wl,-rpath,{folder}",
        soname,
    )
    sources = [FAKES / "backend_calls.cpp", *(SOURCES / name for name in ("manifest.cpp", "json_fields.cpp"))]
    sources += sorted(SOURCES.glob("tensorrt_*.cpp"))
    calls = [build(folder / "calls.o", sources, *includes), LIBRARY]  # the last for the manifest's grid
    rpath = f"-Wl,-rpath,{folder},-rpath,{LIBRARY.parent}"
    backend = build(folder / "libcalls.so", [*calls, fake_cuda], rpath)
    static = first([cuda.parent / "lib64", cuda.parent / "lib"], "libcudart_static.a")
    real = None
    if static is not None:
        real = build(folder / "libcalls_real.so", [*calls, static / "libcudart_static.a"], rpath, "-lrt")
    return Built(backend, real, nvinfer, int(numbers[0]), f"{numbers[0]}.{numbers[1]}.4.56", folder)


class Given(ctypes.Structure):
    """What backend_calls.cpp makes a bundle and options from."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("manifest", "engine", "plugins", "digest", "tensorrt")),
        *((name, ctypes.c_int32) for name in ("device", "cuda_graph")),
    )


@dataclass(frozen=True)
class Case:
    """What is opened, and how."""

    engines: str
    content: str
    tensorrt: str | None
    tensors: str = TENSORS
    plugins: Path = LIBRARY
    digest: str | None = None
    device: int = 0
    cuda_graph: bool = False

    def given(self) -> Given:
        digest = self.digest or hashlib.sha256(self.plugins.read_bytes()).hexdigest()
        texts = (self.tensors + self.engines, self.content, str(self.plugins), digest)
        path = None if self.tensorrt is None else self.tensorrt.encode()
        return Given(*(text.encode() for text in texts), path, self.device, int(self.cuda_graph))


class Refused(Exception):
    """The backend's status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Calls:
    """backend_calls.cpp by name; a status that is not OK is raised."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        for name in ("message", "name"):
            getattr(self.library, f"calls_{name}").restype = ctypes.c_char_p
        for name in ("input", "output"):
            getattr(self.library, f"calls_{name}").restype = ctypes.c_void_p

    def check(self, status: int) -> None:
        if status != OK:
            raise Refused(status, self.library.calls_message().decode())

    def can_run(self, case: Case) -> str | None:
        """None if it can, else why not."""
        can = self.library.calls_can_run(ctypes.byref(case.given()))
        return None if can else self.library.calls_message().decode()


class Model:
    """An open backend."""

    def __init__(self, calls: Calls, case: Case) -> None:
        self.calls, self._handle = calls, ctypes.c_void_p()
        calls.check(calls.library.calls_open(ctypes.byref(case.given()), ctypes.byref(self._handle)))
        self.name = calls.library.calls_name(self._handle).decode()
        self.inputs = [self._view("input", i, *tensor) for i, tensor in enumerate(INPUTS)]

    def _view(self, kind: str, index: int, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        address = getattr(self.calls.library, f"calls_{kind}")(self._handle, ctypes.c_size_t(index))
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)

    def bind(self, index: int, address: int | None, memory: int) -> None:
        self.calls.check(
            self.calls.library.calls_bind(self._handle, ctypes.c_size_t(index), ctypes.c_void_p(address), memory)
        )

    def run(self) -> list[NDArray[Any]]:
        self.calls.check(self.calls.library.calls_run(self._handle))
        return [self._view("output", i, *tensor).copy() for i, tensor in enumerate(OUTPUTS)]

    def close(self) -> None:
        self.calls.library.calls_close(self._handle)


class Fakes:
    """What the fake CUDA and the fake TensorRT are told and asked."""

    def __init__(self, built: Built) -> None:
        self.cuda = ctypes.CDLL(str(built.folder / "libfakecuda.so"))
        self.cuda.fake_cuda_malloc.restype = ctypes.c_void_p
        self.nvinfer = ctypes.CDLL(str(built.tensorrt))

    def gpus(self, capabilities: str) -> None:
        self.cuda.fake_cuda_gpus(capabilities.encode())

    def fail(self, function: str) -> None:
        self.cuda.fake_cuda_fail(function.encode())

    def alive(self) -> int:
        return int(self.cuda.fake_cuda_alive() + self.nvinfer.fake_nvinfer_alive())

    def enqueues(self) -> int:
        return int(self.nvinfer.fake_nvinfer_enqueues())

    def device_copy(self, values: NDArray[Any], device: int = 0, offset: int = 0) -> int:
        """Address of a copy in the fake device's memory; never freed."""
        address = self.cuda.fake_cuda_malloc(ctypes.c_size_t(values.nbytes + offset), device) + offset
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
        return int(address)


@pytest.fixture
def fakes(built: Built) -> Iterator[Fakes]:
    fakes = Fakes(built)
    fakes.gpus("8.9")
    yield fakes
    fakes.fail("")
    assert fakes.cuda.fake_cuda_current() == 0, "the caller's device was changed"


@pytest.fixture(scope="session")
def calls(built: Built) -> Calls:
    return Calls(built.backend)


@pytest.fixture
def case(built: Built) -> Case:
    return Case(f"engine rtx4090 tensorrt {built.version} 8.9\n", TENSORS, str(built.tensorrt))


def expected(inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """What the fake engine computes, from its description."""
    return [
        sum((j + 1) * np.resize(one.reshape(-1).astype(np.float64), shape) for j, one in enumerate(inputs)).astype(
            dtype
        )
        for shape, dtype in OUTPUTS
    ]


def frame(seed: int) -> list[NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 100, shape).astype(dtype) for shape, dtype in INPUTS]


def fill(model: Model, inputs: list[NDArray[Any]]) -> None:
    for view, values in zip(model.inputs, inputs, strict=True):
        view[...] = values


def assert_outputs(model: Model, inputs: list[NDArray[Any]]) -> None:
    for got, want in zip(model.run(), expected(inputs), strict=True):
        np.testing.assert_array_equal(got, want)


def refusal(calls: Calls, case: Case) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        Model(calls, case)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("device", [0, 1])
def test_runs(calls: Calls, case: Case, fakes: Fakes, built: Built, cuda_graph: bool, device: int) -> None:
    fakes.gpus("8.9 8.9")
    before = fakes.alive()
    model = Model(calls, replace(case, cuda_graph=cuda_graph, device=device))
    assert model.name == f"TensorRT {built.version} (Fake GPU)" + (", CUDA graph" if cuda_graph else "")
    assert all((view == 0).all() for view in model.inputs)
    for seed in range(4):
        fill(model, frame(seed))
        assert_outputs(model, frame(seed))
    model.close()
    assert fakes.alive() == before, "something was not given back"


def test_a_graph_is_captured_on_the_second_run_and_replayed(calls: Calls, case: Case, fakes: Fakes) -> None:
    model, start = Model(calls, replace(case, cuda_graph=True)), fakes.enqueues()
    counts = []
    for seed in range(4):
        fill(model, frame(seed))
        assert_outputs(model, frame(seed))
        counts.append(fakes.enqueues() - start)
    assert counts == [1, 2, 2, 2]
    images = frame(9)[2]
    model.bind(2, fakes.device_copy(images), DEVICE)  # another address: captured again, on the run after next
    inputs = [*frame(3)[:2], images]
    for count in (3, 4, 4):
        assert_outputs(model, inputs)
        assert fakes.enqueues() - start == count
    model.close()


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_inputs_are_bound_to_the_callers_memory_and_back(
    calls: Calls, case: Case, fakes: Fakes, cuda_graph: bool
) -> None:
    model = Model(calls, replace(case, cuda_graph=cuda_graph))
    own, host, device = frame(0), frame(1)[0], frame(2)[2]
    fill(model, own)
    model.bind(0, host.ctypes.data, HOST)
    model.bind(2, fakes.device_copy(device), DEVICE)
    for _ in range(3):
        assert_outputs(model, [host, own[1], device])
    model.bind(2, fakes.device_copy(own[2], offset=4), DEVICE)  # not aligned as TensorRT wants it
    assert_outputs(model, [host, own[1], own[2]])
    host += 1
    model.bind(0, None, HOST)
    model.bind(2, None, DEVICE)
    assert_outputs(model, own)
    model.close()


def test_memory_that_is_not_the_devices_is_refused(calls: Calls, case: Case, fakes: Fakes) -> None:
    fakes.gpus("8.9 8.9")
    model, images = Model(calls, case), frame(0)[2]
    for address in (images.ctypes.data, fakes.device_copy(images, device=1)):
        with pytest.raises(
            Refused, match=r"input images was given as device memory, .* none of CUDA device 0"
        ) as caught:
            model.bind(2, address, DEVICE)
        assert caught.value.status == BAD_FRAME
    fill(model, frame(4))
    assert_outputs(model, frame(4))
    model.close()


@pytest.mark.parametrize(
    ("line", "cuda_graph", "message"),
    [
        ("fail", False, "x.vexkd/rtx4090.engine could not run: the fake engine failed"),
        ("fail_capture", True, "cannot be captured in a CUDA graph: the fake engine failed; open the bundle with .* 0"),
    ],
)
def test_a_run_that_fails_says_why(
    calls: Calls, case: Case, fakes: Fakes, line: str, cuda_graph: bool, message: str
) -> None:
    model = Model(calls, replace(case, content=TENSORS + line, cuda_graph=cuda_graph))
    with pytest.raises(Refused, match=message) as caught:
        for _ in range(2):
            model.run()
    assert caught.value.status == BACKEND_FAILED and "warning" not in str(caught.value)
    model.close()


@pytest.mark.parametrize(
    ("function", "cuda_graph", "message"),
    [
        ("cudaMemcpyAsync", False, "CUDA cannot copy input points: cudaErrorOther"),
        ("cudaStreamSynchronize", False, "CUDA cannot finish the run: cudaErrorOther"),
        ("cudaGraphInstantiate", True, "cannot be captured in a CUDA graph: cudaErrorOther"),
    ],
)
def test_an_error_of_cuda_is_said_once(
    calls: Calls, case: Case, fakes: Fakes, function: str, cuda_graph: bool, message: str
) -> None:
    model = Model(calls, replace(case, cuda_graph=cuda_graph))
    fill(model, frame(0))
    assert_outputs(model, frame(0))
    fakes.fail(function)
    with pytest.raises(Refused, match=message) as caught:
        model.run()
    assert caught.value.status == BACKEND_FAILED
    assert fakes.cuda.cudaGetLastError() == 0, "the error was left for others to find"
    assert_outputs(model, frame(0))
    model.close()


def test_what_was_reserved_is_given_back_where_opening_fails(calls: Calls, case: Case, fakes: Fakes) -> None:
    before = fakes.alive()
    fakes.fail("cudaMalloc")
    assert refusal(calls, case)[1].startswith("CUDA cannot reserve memory of the GPU for points: cudaErrorOther")
    assert fakes.alive() == before


def test_a_handle_outlives_cuda(calls: Calls, case: Case, fakes: Fakes) -> None:
    model = Model(calls, case)
    fakes.fail("cudaGetDevice")
    model.close()


def test_the_loader_finds_the_library_by_name(calls: Calls, case: Case, fakes: Fakes) -> None:
    model = Model(calls, replace(case, tensorrt=None))  # it is open already, under its soname
    fill(model, frame(0))
    assert_outputs(model, frame(0))
    model.close()


def test_the_engine_of_this_gpu_and_flavour_is_taken(calls: Calls, case: Case, fakes: Fakes, built: Built) -> None:
    without_code = f"engine c tensorrt {built.version} 8.9 cpu-only\n"
    engines = (
        f"engine a tensorrt_rtx 1.7.1.116 8.9\n{without_code}engine b tensorrt {built.version} 8.6\n{case.engines}"
    )
    Model(calls, replace(case, engines=engines)).close()
    assert calls.can_run(replace(case, engines=engines)) is None


def test_a_version_without_its_build_is_the_same(calls: Calls, case: Case, fakes: Fakes, built: Built) -> None:
    Model(calls, replace(case, engines=f"engine rtx4090 tensorrt {built.version[:-3]} 8.9\n")).close()


def refusals(built: Built) -> list[tuple[dict[str, Any], str, int, str]]:
    """(changes to the case, GPUs, status, message), of what is seen before anything is loaded."""
    ours, path = f"tensorrt {built.version} 8.9", built.tensorrt
    return [
        ({}, "", NO_BACKEND, "TensorRT needs an NVIDIA GPU and its driver, none was found: cudaErrorNoDevice (no "
         "device); use ONNX Runtime on the CPU"),
        ({"device": 2}, "8.9 8.9", NO_BACKEND, "option device is 2, this machine has 2 GPUs, from number 0 on"),
        ({}, "9.0", INCOMPATIBLE, "/bundles/x.vexkd holds engines for: rtx4090 (8.9); this GPU is Fake GPU (9.0); add "
         "one with: vexkd export /bundles/x.vexkd --add-target 9.0"),
        ({"engines": ""}, "8.9", INCOMPATIBLE, "holds engines for: none; this GPU is"),
        ({"engines": "engine a tensorrt 10.1.2.3 8.9\n"}, "8.9", INCOMPATIBLE,
         f"a.engine was built by tensorrt 10.1.2.3, {path} is {built.version}; build it again with: vexkd export "
         "/bundles/x.vexkd --add-target a"),
        ({"engines": f"engine a {ours} cpu-only\n"}, "8.9", INCOMPATIBLE,
         "/bundles/x.vexkd/a.engine never runs: it was exported with --cpu-only, and the bundle's libvexkd.so has no "
         "GPU code for compute capability 8.9; rebuild the library where nvcc is with: make native CUDA=ON, and export "
         "the bundle again with: vexkd export runs/x --fp16 --target a --out /bundles/x.vexkd"),
        ({"engines": "engine a tensorrt_rtx 1.7.1.116 8.9\n"}, "8.9", INCOMPATIBLE,
         f"a.engine needs tensorrt_rtx, {path} is TensorRT {built.version}; install it with: pip install 'vexkd[rtx]'"),
        ({"engines": f"engine a {ours}\n", "tensorrt": "/no/libnvinfer.so"}, "8.9", NO_BACKEND,
         "TensorRT cannot be loaded: /no/libnvinfer.so: cannot open shared object file"),
        ({"tensorrt": "libm.so.6"}, "8.9", NO_BACKEND, "libm.so.6 is no TensorRT: it has no getInferLibVersion"),
    ]  # fmt: skip


def test_refusals(calls: Calls, case: Case, fakes: Fakes, built: Built) -> None:
    for changes, gpus, status, message in refusals(built):
        fakes.gpus(gpus)
        changed = replace(case, **changes)
        got, said = refusal(calls, changed)
        assert got == status and message in said and "\n" not in said, said
        assert calls.can_run(changed) == said


@pytest.mark.parametrize("version", ["10.13.3", "12.0.0", "1.6.0", "1.8.0"])
def test_another_generation_is_refused_before_it_is_used(
    calls: Calls, case: Case, fakes: Fakes, built: Built, tmp_path: Path, version: str
) -> None:
    major, minor, patch = map(int, version.split("."))
    source = tmp_path / "other.cpp"
    number = major * 10000 + minor * 100 + patch
    source.write_text(
        f'extern "C" int getInferLibVersion() {{ return {number}; }}\n'
        'extern "C" void* createInferRuntime_INTERNAL(void*, int) { __builtin_trap(); }\n'
        'extern "C" void* getPluginRegistry() { __builtin_trap(); }\n'
    )
    library = build(tmp_path / "libother.so", [source])
    flavour = "TensorRT" if major > 9 else "TensorRT-RTX"
    status, message = refusal(calls, replace(case, tensorrt=str(library)))
    assert status == INCOMPATIBLE
    assert f"is {flavour} {version}, this libvexkd was built with headers of TensorRT {built.major}." in message
    assert "build VeXKD with TENSORRT_ROOT at the headers of this one" in message


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (TENSORS.replace("2 5", "2 4"), "has input points float32 [2, 4], the manifest says input points float32 "
         "[2, 5]"),
        (TENSORS.replace("2 5", "2"), "has input points float32 [2], the manifest says input points float32 [2, 5]"),
        (TENSORS.replace("labels int32", "labels float32"), "has output labels float32 [3], the manifest says output "
         "labels int32 [3]; export it again with: vexkd export runs/x --fp16 --target rtx4090"),
        (TENSORS.replace("images", "pictures"), "has no input images, the manifest says input images uint8 [1, 2, 3]"),
        (TENSORS.replace("uint8", "UINT8"), "has input images TensorRT's own uint8 [1, 2, 3], the manifest says input "
         "images uint8 [1, 2, 3]"),
        (TENSORS + "output more float32 1\n", "has 6 inputs and outputs, the manifest says 5"),
    ],
)  # fmt: skip
def test_an_engine_of_other_tensors_is_refused(
    calls: Calls, case: Case, fakes: Fakes, engine: str, message: str
) -> None:
    status, said = refusal(calls, replace(case, content=engine))
    assert status == INCOMPATIBLE and f"/bundles/x.vexkd/rtx4090.engine {message}" in said, said


def test_an_engine_that_tensorrt_refuses(calls: Calls, case: Case, fakes: Fakes, built: Built) -> None:
    before = fakes.alive()
    status, message = refusal(calls, replace(case, content="refuse"))
    assert status == BACKEND_FAILED
    assert message == (
        f"TensorRT {built.version} refuses /bundles/x.vexkd/rtx4090.engine: an engine of another planet; and broken"
    )
    assert fakes.alive() == before


def test_plugins_are_taken_once_and_no_others(calls: Calls, case: Case, fakes: Fakes, built: Built) -> None:
    Model(calls, case).close()
    Model(calls, case).close()
    status, message = refusal(calls, replace(case, digest="0" * 64))
    assert status == INCOMPATIBLE
    assert re.search(
        r"/bundles/x.vexkd/libvexkd.so differs from the plugin library that this process already uses \(sha256 0{12} "
        r"and [0-9a-f]{12}\); use the two in separate processes, or export both bundles with one version of VeXKD",
        message,
    )


def test_a_plugin_library_that_is_none(calls: Calls, case: Case, fakes: Fakes, built: Built, tmp_path: Path) -> None:
    another = shutil.copy(built.tensorrt, tmp_path / "libanother.so")  # with a registry of its own
    (tmp_path / "libnothing.so").write_bytes(b"no library")
    broken = replace(case, tensorrt=str(another), plugins=tmp_path / "libnothing.so")
    status, message = refusal(calls, broken)
    assert status == BACKEND_FAILED
    assert f"TensorRT {built.version} takes no plugins from /bundles/x.vexkd/libvexkd.so: no reason given" in message
    Model(calls, replace(broken, plugins=case.plugins)).close()


def in_a_process(library: Path, case: Case, gpus: str | None) -> str:
    """Status and message of opening, in a process of its own: TensorRT's registry takes plugins once."""
    fake = (
        ""
        if gpus is None
        else f"ctypes.CDLL({str(library.parent / 'libfakecuda.so')!r}).fake_cuda_gpus({gpus!r}.encode())"
    )
    script = f"""
import ctypes, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import PosixPath
from test_cpp_tensorrt import Calls, Case, Model, Refused
{fake}
for _ in range(2):
    try:
        Model(Calls(PosixPath({str(library)!r})), {case!r})
    except Refused as refused:
        print(refused.status, refused)
"""  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    once, again = done.stdout.splitlines()
    assert once == again
    return once


@pytest.fixture(scope="session")
def rtx() -> Path:
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if spec is None or spec.origin is None:
        pytest.skip("tensorrt-rtx is not installed")
    return Path(spec.origin).parent / "libtensorrt_rtx.so.1"


def test_the_real_library_takes_our_plugins_and_explains_what_it_refuses(built: Built, rtx: Path) -> None:
    """Its own CUDA finds no GPU; ours is the fake."""
    from importlib.metadata import version

    number = version("tensorrt-rtx")
    said = in_a_process(built.backend, Case(f"engine a tensorrt_rtx {number} 8.9\n", "no engine", str(rtx)), "8.9")
    start = f"{BACKEND_FAILED} TensorRT-RTX {number} refuses /bundles/x.vexkd/a.engine: "
    assert said.startswith(start) and len(said) > len(start) + 10 and "no reason given" not in said


def test_a_library_that_the_loader_does_not_find(built: Built) -> None:
    said = in_a_process(built.backend, Case("engine a tensorrt_rtx 1.7.1.116 8.9\n", "no engine", None), "8.9")
    assert said.startswith(
        f"{NO_BACKEND} a.engine needs tensorrt_rtx: TensorRT cannot be loaded: libtensorrt_rtx.so.1: cannot open "
    )
    assert said.endswith("with: pip install 'vexkd[rtx]' (TensorRT for RTX)")


def test_a_machine_without_a_gpu_is_refused(built: Built, rtx: Path) -> None:
    from vexkd.engines.gpu import find_gpus

    if built.real is None:
        pytest.skip("CUDA's static runtime is not there")
    if find_gpus():
        pytest.skip("there is a GPU")
    said = in_a_process(built.real, Case("engine a tensorrt_rtx 1.7.1.116 8.9\n", "no engine", str(rtx)), None)
    assert said.startswith(f"{NO_BACKEND} TensorRT needs an NVIDIA GPU and its driver, none was found: cudaError")
    assert said.endswith("; use ONNX Runtime on the CPU")
