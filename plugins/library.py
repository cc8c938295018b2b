"""Find and load the native library, and call its C ABI."""

import contextlib
import ctypes
import threading
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vexkd
from vexkd.plugins.errors import UserError

ABI_VERSION = 3
"""VEXKD_ABI_VERSION of the headers this file was written for."""
LIBRARY = f"libvexkd.so.{ABI_VERSION}"
F32, F16 = 0, 1
"""vexkd_dtype."""
PLANAR, PACKED8 = 0, 1
"""vexkd_layout."""
_OK = 0
_ALIGNMENT = 64
_KEPT_BYTES = 64 * 2**20

_SIZE = ctypes.POINTER(ctypes.c_size_t)
_TYPES: dict[str, Any] = {"p": ctypes.c_void_p, "i": ctypes.c_int32, "f": ctypes.c_float, "z": ctypes.c_size_t}

# Parameters of every entry point: p pointer, i int32, f float, z size_t. The *_workspace queries end in p for the
# answer; the *_cuda form of an operator takes the stream in place of the number of threads, at the end.
_OPERATORS = {
    "voxelize": "ppiipipp",
    "pillar_max": "pipiiiiipp",
    "pillar_max_backward": "pipiiiiip",
    "bev_pool": "ppipppp",
    "bev_pool_backward": "pppippppp",
    "frustum_index": "ppppppp",
}
# Those of another form, whole.
_OTHERS = {
    "nms_cpu": "pppiipifpppz",
    "nms_cuda": "pppiipifpppzp",
    "nms_cpu_workspace": "ip",
    "nms_cuda_workspace": "ip",
    "rotated_iou_cpu": "pipipi",
    "prepare_images_cpu": "ppppiipi",
    "prepare_images_cuda": "ppppiipp",
    "image_transform": "ppp",
    "camera_rays": "pppipp",
    "accumulate_sweeps_cpu": "piipppi",
    "pad_points": "piippp",
    "select_boxes_cpu": "pppifpipppz",
    "select_boxes_cpu_workspace": "ip",
}
_QUERIES = {
    "voxelize": "iip",
    "pillar_max": "iiiiiii",
    "bev_pool": "ip",
    "bev_pool_backward": "ip",
    "frustum_index": "pp",
}
_NO_WORKSPACE = ("pillar_max_backward",)


class Grid(ctypes.Structure):
    """vexkd_grid of types.h."""

    _fields_ = (
        *((name, ctypes.c_float) for name in ("x_min", "y_min", "z_min", "x_max", "y_max", "z_max")),
        *((name, ctypes.c_float) for name in ("cell_x", "cell_y")),
        *((name, ctypes.c_int32) for name in ("height", "width")),
    )
    height: int
    width: int


class BevPoolShape(ctypes.Structure):
    """vexkd_bev_pool_shape of bev_pool.h."""

    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in (
            *("views", "depths", "feature_height", "feature_width"),
            *("channels", "points", "batch", "height", "width"),
        )
    )


class FrustumShape(ctypes.Structure):
    """vexkd_frustum_shape of frustum_index.h."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("batch", "views", "depths", "height", "width", "stride"))


class ImageShape(ctypes.Structure):
    """vexkd_image_shape of prepare_images.h."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("views", "raw_height", "raw_width", "height", "width"))


class SweepRecord(ctypes.Structure):
    """vexkd_sweep of accumulate_sweeps.h."""

    _fields_ = (
        ("points", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("count", "stride")),
        *((name, ctypes.c_float) for name in ("intensity_scale", "age")),
        ("sensor_to_ego", ctypes.c_void_p),
        ("own_vehicle", ctypes.c_float),
    )


class ClassRuleRecord(ctypes.Structure):
    """vexkd_class_rule of select_boxes.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("group", "overlap")),
        *((name, ctypes.c_float) for name in ("limit", "scale")),
    )


STRUCTS: dict[str, type[ctypes.Structure]] = {
    "vexkd_grid": Grid,
    "vexkd_bev_pool_shape": BevPoolShape,
    "vexkd_frustum_shape": FrustumShape,
    "vexkd_image_shape": ImageShape,
    "vexkd_sweep": SweepRecord,
    "vexkd_class_rule": ClassRuleRecord,
}


class _Kept(threading.local):
    """Workspace of each thread."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)


_kept = _Kept()


class KernelError(RuntimeError):
    """A kernel refused its arguments; the message is the library's own."""


def native_prefix() -> Path:
    """Folder with the native tree (include, lib, lib/cmake): in this package, else in the installed distribution.

    The second place serves a checkout: run from its root, the folder ``vexkd/`` hides the installed package, which
    holds the tree.

    Raises:
        UserError: the library has not been built.

    """
    candidates = [Path(path) / "native" for path in vexkd.__path__]
    with contextlib.suppress(metadata.PackageNotFoundError):
        candidates.append(Path(str(metadata.distribution("vexkd").locate_file("vexkd/native"))))
    for path in candidates:
        if (path / "lib" / LIBRARY).is_file():
            return path
    where = " nor ".join(str(path) for path in dict.fromkeys(candidates))
    raise UserError(
        f"the native library {LIBRARY} is not built: not found in {where}; run `pip install -e .` or `make native`"
    )


def find_library() -> Path:
    """Path of the native library.

    Raises:
        UserError: it has not been built.

    """
    return native_prefix() / "lib" / LIBRARY


def open_library(path: Path, remedy: str) -> ctypes.CDLL:
    """A native library of this ABI, the installed one or that of a bundle, with only what describes it declared.

    Args:
        path: the library.
        remedy: what to do where it is none; ends the message.

    Raises:
        UserError: it cannot be loaded, or has another ABI than this package.

    """
    try:
        library = ctypes.CDLL(str(path))
        library.vexkd_abi_version.restype = ctypes.c_int32
        version = library.vexkd_abi_version()
    except (OSError, AttributeError) as error:
        raise UserError(f"cannot load {path}: {error}; {remedy}") from error
    if version != ABI_VERSION:
        raise UserError(f"{path} has ABI version {version}, this package needs {ABI_VERSION}; {remedy}")
    for name in ("vexkd_version", "vexkd_build_info", "vexkd_cuda_architectures"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


@cache
def kernels() -> ctypes.CDLL:
    """The library with every entry point of the kernels declared.

    Raises:
        UserError: it has not been built, cannot be loaded, or has another ABI than this package.

    """
    path = find_library()
    again = "rebuild it with `pip install -e .` or `make native`"
    library = open_library(path, again)
    library.vexkd_status_string.argtypes = [ctypes.c_int32]
    library.vexkd_status_string.restype = ctypes.c_char_p
    library.vexkd_struct_size.argtypes = [ctypes.c_char_p]
    library.vexkd_struct_size.restype = ctypes.c_size_t
    for name, struct in STRUCTS.items():
        if library.vexkd_struct_size(name.encode()) != ctypes.sizeof(struct):
            raise UserError(f"{path} has another {name} than this package; {again}")
    _declare(library, "vexkd_make_grid", "ppp")
    for name, parameters in _OPERATORS.items():
        workspace = "" if name in _NO_WORKSPACE else "pz"
        _declare(library, f"vexkd_{name}_cpu", f"{parameters}i{workspace}")
        _declare(library, f"vexkd_{name}_cuda", f"{parameters}{workspace}p")
    for name, parameters in _OTHERS.items():
        _declare(library, f"vexkd_{name}", parameters)
    for name, parameters in _QUERIES.items():
        _declare(library, f"vexkd_{name}_cpu_workspace", parameters + "p")
        _declare(library, f"vexkd_{name}_cuda_workspace", parameters + "p")
    return library


def build_info() -> str:
    """One line about the library: version, compiler, CUDA, TensorRT headers."""
    return str(kernels().vexkd_build_info().decode())


def cuda_architectures(library: ctypes.CDLL | None = None) -> tuple[str, ...]:
    """Compute capabilities the library has GPU code for ("8.9"); "7.5+" is PTX for it and every later one.

    Args:
        library: one that :func:`open_library` opened, by default the installed one.

    """
    return tuple((library or kernels()).vexkd_cuda_architectures().decode().split())


def has_cuda() -> bool:
    """Whether the library was built with the CUDA kernels."""
    return bool(kernels().vexkd_has_cuda())


def call(function: str, *arguments: Any) -> None:
    """Call ``vexkd_<function>``.

    Raises:
        KernelError: it did not return VEXKD_OK.

    """
    library = kernels()
    status = getattr(library, f"vexkd_{function}")(*arguments)
    if status != _OK:
        raise KernelError(f"vexkd_{function}: {library.vexkd_status_string(status).decode()}")


def workspace_size(function: str, *arguments: Any) -> int:
    """Bytes that ``vexkd_<function>_workspace`` answers."""
    size = ctypes.c_size_t()
    call(f"{function}_workspace", *arguments, ctypes.byref(size))
    return size.value


def cpu_workspace(operator: str, *arguments: Any) -> tuple[int | None, int]:
    """Address and size of this thread's workspace for ``vexkd_<operator>_cpu``, as its last two arguments.

    Kept from call to call: fresh memory costs page faults. (None, 0), which makes the kernel allocate, for one so large
    that keeping it is no favour. Valid until the thread's next call.
    """
    size = workspace_size(f"{operator}_cpu", *arguments)
    if size > _KEPT_BYTES:
        return None, 0
    if _kept.memory.nbytes < size + _ALIGNMENT:
        _kept.memory = np.empty(size + _ALIGNMENT, np.uint8)
    address = _kept.memory.ctypes.data
    return address + -address % _ALIGNMENT, size


def make_grid(range: Sequence[float], cell: Sequence[float]) -> Grid:
    """Grid from (x_min, y_min, z_min, x_max, y_max, z_max) and (cell_x, cell_y) in metres, rounded to float32.

    Raises:
        ValueError: there are not six and two numbers.
        KernelError: they make no valid grid, or one of 2^31 cells or more.

    """
    if len(range) != 6 or len(cell) != 2:
        raise ValueError(f"a grid takes 6 range limits and 2 cell sides, got {len(range)} and {len(cell)}")
    grid = Grid()
    call("make_grid", (ctypes.c_float * 6)(*range), (ctypes.c_float * 2)(*cell), ctypes.byref(grid))
    return grid


def pointer(array: NDArray[Any] | None) -> int | None:
    """Address of a C-contiguous array's data; None stays null."""
    return None if array is None else array.ctypes.data


def dense(array: NDArray[Any], dtype: type[np.generic], shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """The array as C-contiguous; its dtype must be right already, and its shape where that is not None.

    Raises:
        ValueError: another dtype or shape.

    """
    if array.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype)}, got {array.dtype}")
    wrong = any(size not in (None, given) for size, given in zip(shape, array.shape, strict=False))
    if array.ndim != len(shape) or wrong:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have the shape ({expected}), got {array.shape}")
    return np.ascontiguousarray(array)


def output(given: NDArray[Any] | None, dtype: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """The caller's memory for a result, or new memory where there is none.

    Raises:
        ValueError: it has another dtype or shape, or is not C-contiguous and writable.
    """
    if given is None:
        return np.empty(shape, dtype)
    if given.dtype != dtype or given.shape != shape or not (given.flags.c_contiguous and given.flags.writeable):
        raise ValueError(
            f"{name} must be writable, C-contiguous {np.dtype(dtype)} {shape}, got {given.dtype} {given.shape}"
        )
    return given


def dtype_code(array: NDArray[Any], name: str) -> int:
    """vexkd_dtype of an array.

    Raises:
        ValueError: it is neither float32 nor float16.

    """
    codes = {np.dtype(np.float32): F32, np.dtype(np.float16): F16}
    if array.dtype not in codes:
        raise ValueError(f"{name} must be float32 or float16, got {array.dtype}")
    return codes[array.dtype]


def _declare(library: ctypes.CDLL, name: str, parameters: str) -> None:
    function = getattr(library, name)
    function.argtypes = [_TYPES[letter] for letter in parameters]
    function.restype = ctypes.c_int32
