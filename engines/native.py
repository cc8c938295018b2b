"""What a C++ program needs to know of an installation: the CMake package, and ONNX Runtime's library."""

import re
from importlib.util import find_spec
from pathlib import Path

from vexkd.plugins.errors import UserError
from vexkd.plugins.library import native_prefix


def cmake_prefix() -> Path:
    """The folder for CMAKE_PREFIX_PATH; under it are ``include``, ``lib`` and ``lib/pkgconfig``, too.

    Raises:
        UserError: the native library was not built, or without cmake.
    """
    prefix = native_prefix()
    if not (prefix / "lib" / "cmake" / "vexkd" / "vexkdConfig.cmake").is_file():
        raise UserError(
            f"{prefix} holds no CMake package, because it was built without cmake; install cmake and run "
            "`pip install -e .` or `make native`"
        )
    return prefix


def onnxruntime_library() -> Path:
    """``libonnxruntime.so`` of the installed ``onnxruntime`` package, which is not imported.

    Raises:
        UserError: the package is not installed, or has no such library.
    """
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise UserError("onnxruntime is not installed here; install it with: pip install onnxruntime")
    folder = Path(spec.origin).parent / "capi"
    found = sorted(folder.glob("libonnxruntime.so*"), key=_version)
    if not found:
        raise UserError(
            f"{folder} holds no libonnxruntime.so, expected in onnxruntime 1.20 or newer; install it with: "
            "pip install --upgrade onnxruntime"
        )
    return found[-1]


def _version(library: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", library.name)]
