"""What of VeXKD's surroundings is there, and what it is good for."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vexkd.engines.gpu import find_gpus
from vexkd.engines.tensorrt_flavour import INSTALL, Name, is_installed, load_flavour, load_plugins
from vexkd.plugins.errors import UserError
from vexkd.plugins.library import build_info, cuda_architectures, find_library, has_cuda, kernels

Status = Literal["ok", "missing", "broken"]
OLDEST_PYTHON = (3, 11)


class Check(BaseModel):
    """One line of the report."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    detail: str
    essential: bool = False
    """Nothing works without it."""


def examine() -> list[Check]:
    """Look at everything; imports TensorRT if it is installed, never torch."""
    return [
        _python(),
        _package("numpy", "numpy", "arrays", essential=True),
        _onnxruntime(),
        _library(),
        _gpus(),
        _tensorrt("tensorrt_rtx"),
        _tensorrt("tensorrt"),
        _package("pycuda", "pycuda", "running TensorRT engines: pip install 'vexkd[gpu]'"),
        _nvcc(),
        _package("torch", "torch", "training and export: pip install 'vexkd[train]'"),
        _package("lightning", "lightning", "training: pip install 'vexkd[train]'"),
        _package("transformers", "transformers", "image backbones: pip install 'vexkd[train]'"),
        _package("nuscenes-devkit", "nuscenes", "nuScenes data and metrics: pip install 'vexkd[train]'"),
        _package("onnxscript", "onnxscript", "export: pip install 'vexkd[train]'"),
    ]


def is_sound(checks: list[Check]) -> bool:
    """Whether everything essential is there."""
    return all(check.status == "ok" for check in checks if check.essential)


def _python() -> Check:
    sound = sys.version_info[:2] >= OLDEST_PYTHON
    wanted = "" if sound else f", needs {'.'.join(map(str, OLDEST_PYTHON))} or newer"
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}{wanted}"
    return Check(name="python", status="ok" if sound else "broken", detail=detail, essential=True)


def _package(distribution: str, module: str, use: str, essential: bool = False) -> Check:
    """A package that is looked up, not imported."""
    from importlib.util import find_spec

    try:
        there = find_spec(module) is not None
        found = version(distribution) if there else ""
    except (PackageNotFoundError, ValueError):
        found = "of unknown version"
        there = True
    if there:
        return Check(name=distribution, status="ok", detail=found, essential=essential)
    return Check(name=distribution, status="missing", detail=f"for {use}", essential=essential)


def _onnxruntime() -> Check:
    try:
        import onnxruntime
    except ImportError as error:
        return Check(name="onnxruntime", status="missing", detail=str(error), essential=True)
    available = onnxruntime.get_available_providers()  # type: ignore[attr-defined]
    providers = [name.removesuffix("ExecutionProvider") for name in available]
    detail = f"{onnxruntime.__version__}, providers: {', '.join(providers)}"
    return Check(name="onnxruntime", status="ok", detail=detail, essential=True)


def _library() -> Check:
    def look() -> str:
        library = kernels()
        wanted = ("getCreators", "setLoggerFinder", "RegisterCustomOps")
        missing = [name for name in wanted if not hasattr(library, name)]
        if missing:
            raise UserError(f"{find_library()} does not export {', '.join(missing)}; build it again with: make native")
        code = f"GPU code for {', '.join(cuda_architectures())}" if has_cuda() else "without CUDA kernels"
        return f"{find_library()}: {build_info()}; {code}"

    return _try("native library", look, essential=True)


def _tensorrt(name: Name) -> Check:
    if not is_installed(name):
        return Check(name=name, status="missing", detail=f"for engines: {INSTALL[name]}")

    def look() -> str:
        flavour = load_flavour(name)
        load_plugins(flavour, find_library())
        return f"{flavour.version}, takes our plugins"

    return _try(name, look)


def _gpus() -> Check:
    gpus = find_gpus()
    if not gpus:
        return Check(
            name="gpu", status="missing", detail="no NVIDIA GPU or driver; the CPU runs everything but engines"
        )
    detail = ", ".join(f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in gpus)
    return Check(name="gpu", status="ok", detail=detail)


def _nvcc() -> Check:
    path = shutil.which("nvcc")
    if path is None:
        return Check(name="nvcc", status="missing", detail="for building CUDA kernels; not needed to run them")
    result = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    lines = [line for line in result.stdout.splitlines() if "release" in line]
    if result.returncode != 0 or not lines:
        return Check(name="nvcc", status="broken", detail=f"{path} does not answer --version")
    return Check(name="nvcc", status="ok", detail=lines[0].partition("release")[2].strip())


def _try(name: str, look: Callable[[], str], essential: bool = False) -> Check:
    try:
        return Check(name=name, status="ok", detail=look(), essential=essential)
    except (UserError, OSError) as error:
        return Check(name=name, status="broken", detail=" ".join(str(error).split()), essential=essential)
