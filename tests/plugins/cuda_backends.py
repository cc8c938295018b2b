"""Call the CUDA entry points on a GPU, or compiled for the CPU by the emulation in plugins/harness/emulation.

Every buffer lies between guard bytes and every output and workspace starts as garbage, so that what is not written, or
written beside its place, shows.
"""

import ctypes
import importlib.util
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from clouds import GridCase
from numpy.typing import NDArray

from vexkd.plugins.library import PACKED8, PLANAR, BevPoolShape, FrustumShape, Grid, ImageShape, find_library

SANITIZED = "VEXKD_SANITIZED_EMULATION" in os.environ
"""Set by test_cuda_sanitized.py, whose process has AddressSanitizer loaded: then that guards the buffers."""
GUARD, ALIGNMENT = 0 if SANITIZED else 512, 256
FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined") if SANITIZED else ("-O1",)
GUARD_BYTE, GARBAGE = 0xA5, 0xCD
HALF = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}
EMULATE = Path(__file__).parents[2] / "plugins" / "harness" / "emulation" / "emulate.py"

Fetch = Callable[[], NDArray[np.uint8]]


class Backend(Protocol):
    """Where the kernels run."""

    library: ctypes.CDLL
    skew: int
    """Elements by which arrays, and bytes by which workspaces, are moved from their alignment to 256 bytes."""

    @property
    def stream(self) -> int:
        """Address of the stream that calls are enqueued on; 0 is the default one."""

    def seed(self, seed: int) -> None:
        """Choose the order of threads, where it can be chosen."""

    def place(self, data: NDArray[np.uint8]) -> tuple[int, Fetch]:
        """Copy bytes there: their address, aligned to 256, and how to get them back after all work is done."""


def load_emulate() -> Any:
    """The emulation's builder, which lies outside the packages."""
    spec = importlib.util.spec_from_file_location("emulate", EMULATE)
    assert spec is not None and spec.loader is not None
    emulate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emulate)
    return emulate


class Emulated:
    """The CPU in the GPU's place, with its threads in an order that depends on ``seed``."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self._libc = ctypes.CDLL(None)
        self.skew = 0

    @property
    def stream(self) -> int:
        return 0

    def seed(self, seed: int) -> None:
        self.library.vexkd_emulation_seed(ctypes.c_uint32(seed))

    def place(self, data: NDArray[np.uint8]) -> tuple[int, Fetch]:
        # Its own allocation of its own size, so that AddressSanitizer sees the first byte beyond.
        pointer = ctypes.c_void_p()
        self._libc.posix_memalign(ctypes.byref(pointer), ctypes.c_size_t(ALIGNMENT), ctypes.c_size_t(len(data)))
        assert pointer.value is not None
        memory = np.frombuffer((ctypes.c_uint8 * len(data)).from_address(pointer.value), np.uint8)
        weakref.finalize(memory, self._libc.free, pointer)
        memory[:] = data
        return pointer.value, lambda: memory


class Device:
    """A GPU, through torch's memory and current stream."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(find_library()))
        self.skew = 0

    @property
    def stream(self) -> int:
        import torch

        return int(torch.cuda.current_stream().cuda_stream)

    def seed(self, seed: int) -> None:
        """The hardware makes its own order."""

    def place(self, data: NDArray[np.uint8]) -> tuple[int, Fetch]:
        import torch

        memory = torch.from_numpy(data).cuda()
        return memory.data_ptr(), lambda: memory.cpu().numpy()


class Out(NamedTuple):
    """An output to allocate."""

    shape: tuple[int, ...]
    dtype: Any


class Call:
    """One call with its buffers; ``run`` may be repeated, or captured in a graph."""

    def __init__(self, backend: Backend, name: str, arguments: Sequence[Any], query: Sequence[Any] | None) -> None:
        self.backend, self.name = backend, name
        self._outputs: list[tuple[Out, Fetch]] = []
        self._inputs: list[tuple[NDArray[np.uint8], Fetch]] = []
        self._host: list[NDArray[Any]] = []
        self._arguments = [self._convert(argument) for argument in arguments]
        if query is not None:
            size = ctypes.c_size_t()
            self._check("_workspace", [*(_plain(value) for value in query), ctypes.byref(size)])
            self._workspace = self._allocate(size.value, backend.skew)
            self._arguments += [ctypes.c_void_p(self._workspace[0]), size]

    def run(self) -> None:
        """Enqueue the call on the backend's stream."""
        self._check("", [*self._arguments, ctypes.c_void_p(self.backend.stream)])

    def status(self) -> int:
        """Enqueue the call; its status."""
        return self._status("", [*self._arguments, ctypes.c_void_p(self.backend.stream)])

    def results(self) -> list[NDArray[Any]]:
        """The outputs; the inputs and the guards of all buffers must be untouched."""
        for data, fetch in self._inputs:
            assert np.array_equal(fetch(), data), f"{self.name} wrote to an input or beside it"
        if hasattr(self, "_workspace"):
            _inside(self._workspace[1](), self.backend.skew)
        return [
            _inside(fetch(), self._skew(out.dtype)).copy().view(out.dtype).reshape(out.shape)
            for out, fetch in self._outputs
        ]

    def _check(self, suffix: str, arguments: list[Any]) -> None:
        status = self._status(suffix, arguments)
        assert status == 0, f"{self.name}{suffix}: status {status}"

    def _status(self, suffix: str, arguments: list[Any]) -> int:
        return int(getattr(self.backend.library, f"vexkd_{self.name}_cuda{suffix}")(*arguments))

    def _skew(self, dtype: Any) -> int:
        return self.backend.skew * np.dtype(dtype).itemsize

    def _allocate(self, size: int, skew: int) -> tuple[int, Fetch]:
        data = _guarded(np.full(size, GARBAGE, np.uint8), skew)
        address, fetch = self.backend.place(data)
        return address + GUARD + skew, fetch

    def _convert(self, argument: Any) -> Any:
        if isinstance(argument, Out):
            size = int(np.prod(argument.shape)) * np.dtype(argument.dtype).itemsize
            address, fetch = self._allocate(size, self._skew(argument.dtype))
            self._outputs.append((argument, fetch))
            return ctypes.c_void_p(address)
        if isinstance(argument, Host):
            self._host.append(argument.data)
            return ctypes.c_void_p(argument.data.ctypes.data)
        if isinstance(argument, np.ndarray):
            skew = self._skew(argument.dtype)
            data = _guarded(np.ascontiguousarray(argument).reshape(-1).view(np.uint8), skew)
            address, fetch = self.backend.place(data)
            self._inputs.append((data, fetch))
            return ctypes.c_void_p(address + GUARD + skew)
        return _plain(argument)


def _plain(argument: Any) -> Any:
    if argument is None:
        return ctypes.c_void_p()
    if isinstance(argument, float):
        return ctypes.c_float(argument)
    return ctypes.c_int32(int(argument)) if isinstance(argument, int | np.integer) else ctypes.byref(argument)


def _guarded(content: NDArray[np.uint8], skew: int) -> NDArray[np.uint8]:
    before, after = np.full(GUARD + skew, GUARD_BYTE, np.uint8), np.full(GUARD, GUARD_BYTE, np.uint8)
    return np.concatenate([before, content, after])


def _inside(data: NDArray[np.uint8], skew: int) -> NDArray[np.uint8]:
    begin, end = GUARD + skew, len(data) - GUARD
    assert (data[:begin] == GUARD_BYTE).all(), "written before the start of a buffer"
    assert (data[end:] == GUARD_BYTE).all(), "written beyond the end of a buffer"
    return data[begin:end]


def outcome(call: Call) -> list[NDArray[Any]]:
    """Outputs of one run."""
    call.run()
    return call.results()


class Host(NamedTuple):
    """An array that stays in host memory, for the call itself to read."""

    data: NDArray[Any]


def grid_of(case: GridCase) -> Grid:
    return Grid(*case.range, *case.cell, case.height, case.width)


def voxelize(backend: Backend, points: NDArray, counts: NDArray, grid: GridCase, dtype: Any = np.float32) -> Call:
    batch, capacity, c_grid = len(counts), len(points) // len(counts), grid_of(grid)
    outputs = (Out((len(points), 11), dtype), Out((len(points),), np.int32))
    arguments = (points, counts, batch, capacity, c_grid, HALF[np.dtype(dtype)], *outputs)
    return Call(backend, "voxelize", arguments, (batch, capacity, c_grid))


def pillar_max(
    backend: Backend,
    features: NDArray,
    cells: NDArray,
    size: tuple[int, int, int],
    argmax: bool = True,
    packed: bool = False,
) -> Call:
    (points, channels), (batch, height, width) = features.shape, size
    shape, dtype = (batch, channels, height, width), HALF[features.dtype]
    bev = Out(packed_shape(shape) if packed else shape, features.dtype)
    wanted = Out(shape, np.int32) if argmax else None
    arguments = (features, dtype, cells, points, channels, *size, bev, wanted, int(packed))
    return Call(backend, "pillar_max", arguments, (dtype, points, channels, *size, int(argmax)))


def pillar_max_backward(backend: Backend, grad_bev: NDArray, argmax: NDArray, points: int) -> Call:
    batch, channels, height, width = grad_bev.shape
    arguments = (grad_bev, HALF[grad_bev.dtype], argmax, points, channels, batch, height, width)
    return Call(backend, "pillar_max_backward", (*arguments, Out((points, channels), grad_bev.dtype)), None)


def _pool_shape(depth: NDArray, context: NDArray, points: NDArray, size: Sequence[int]) -> BevPoolShape:
    views, depths, height, width = depth.shape
    return BevPoolShape(views, depths, height, width, context.shape[1], len(points), *size)


def bev_pool(
    backend: Backend,
    depth: NDArray,
    context: NDArray,
    points: NDArray,
    starts: NDArray,
    *size: int,
    packed: tuple[bool, bool] = (False, False),
) -> Call:
    """``packed``: the context, and the map, in VEXKD_PACKED8."""
    shape, dtype = _pool_shape(depth, context, points, size), HALF[depth.dtype]
    bev = (size[0], context.shape[1], *size[1:])
    given = pack(context) if packed[0] else context
    out = Out(packed_shape(bev) if packed[1] else bev, depth.dtype)
    arguments = (depth, given, dtype, points, starts, shape, out, *map(int, packed))
    return Call(backend, "bev_pool", arguments, (dtype, shape))


def packed_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of VEXKD_PACKED8 for (N, C, H, W)."""
    count, channels, height, width = shape
    return count, height, width, -(-channels // 8), 8


def pack(planar: NDArray) -> NDArray:
    """VEXKD_PACKED8 of a planar array; the padding is NaN, which nobody may look at."""
    whole = np.full((*packed_shape(planar.shape)[:3], -(-planar.shape[1] // 8) * 8), np.nan, planar.dtype)
    whole[..., : planar.shape[1]] = planar.transpose(0, 2, 3, 1)
    return whole.reshape(packed_shape(planar.shape))


def unpack(packed: NDArray, channels: int) -> NDArray:
    """The planar array; the padding must be 0."""
    whole = packed.reshape(*packed.shape[:3], -1)
    assert not whole[..., channels:].view(np.uint16).any()
    return np.ascontiguousarray(whole[..., :channels].transpose(0, 3, 1, 2))


def bev_pool_backward(
    backend: Backend,
    grad_bev: NDArray,
    depth: NDArray,
    context: NDArray,
    points: NDArray,
    starts: NDArray,
    wanted: tuple[bool, bool] = (True, True),
) -> Call:
    size = (grad_bev.shape[0], *grad_bev.shape[2:])
    shape, dtype = _pool_shape(depth, context, points, size), HALF[depth.dtype]
    outputs = [Out(a.shape, a.dtype) if want else None for a, want in zip((depth, context), wanted, strict=True)]
    arguments = (grad_bev, depth, context, dtype, points, starts, shape, *outputs)
    return Call(backend, "bev_pool_backward", arguments, (dtype, shape))


def frustum_index(
    backend: Backend,
    rays: NDArray,
    origins: NDArray,
    depths: NDArray,
    feature_size: tuple[int, int],
    stride: int,
    grid: GridCase,
    batch: int = 1,
) -> Call:
    shape = FrustumShape(batch, len(rays), len(depths), *feature_size, stride)
    points = len(rays) * len(depths) * feature_size[0] * feature_size[1]
    outputs = (Out((points,), np.int32), Out((batch * grid.height * grid.width + 1,), np.int32))
    c_grid = grid_of(grid)
    return Call(backend, "frustum_index", (rays, origins, Host(depths), shape, c_grid, *outputs), (shape, c_grid))


def nms(
    backend: Backend,
    boxes: NDArray,
    scores: NDArray,
    groups: NDArray,
    overlap: str,
    thresholds: NDArray,
    score_threshold: float,
) -> Call:
    count, code = len(boxes), {"circle": 0, "rotated": 1}[overlap]
    outputs = (Out((count,), np.int32), Out((1,), np.int32))
    inputs = (boxes, scores, groups, count, code, thresholds, len(thresholds), float(score_threshold))
    return Call(backend, "nms", (*inputs, *outputs), (count,))


def prepare_images(
    backend: Backend,
    images: NDArray,
    size: tuple[int, int],
    mean: NDArray,
    deviation: NDArray,
    dtype: Any,
    layout: int = PLANAR,
) -> Call:
    shape = ImageShape(*images.shape[:3], *size)
    out = Out((len(images), *size, 8) if layout == PACKED8 else (len(images), 3, *size), dtype)
    arguments = (images, shape, Host(mean), Host(deviation), HALF[np.dtype(dtype)], layout, out)
    return Call(backend, "prepare_images", arguments, None)
