"""One way to run a bundle's model, whatever runs it: numpy arrays in, numpy arrays out."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.bundle import Bundle, remake
from vexkd.engines.gpu import find_gpus
from vexkd.engines.machine import package_version
from vexkd.engines.manifest import PLUGIN_LIBRARY, Engine, Tensor
from vexkd.plugins.errors import UserError

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
Arrays = dict[str, NDArray[Any]]


class Runtime(Protocol):
    """What runs the model."""

    name: str
    """Runtime and version, as benchmarks print it."""

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name for inputs by name, whose shapes and dtypes were checked."""
        ...


class Session:
    """A bundle's model, ready to run.

    Args:
        bundle: a bundle read by :func:`vexkd.engines.bundle.read_bundle`, and so verified.
        device: ``cpu`` and ``cuda`` are ONNX Runtime, ``tensorrt`` is the bundle's engine for this GPU; ``auto``
            takes the last of them that can run here.
        threads: threads of ONNX Runtime on the CPU; 0 takes all cores.

    Raises:
        UserError: what was asked for cannot run here.
    """

    def __init__(self, bundle: Bundle, device: Device = "auto", threads: int = 0) -> None:
        self.bundle = bundle
        self.device = choose_device(bundle) if device == "auto" else device
        self._runtime: Runtime
        if self.device == "tensorrt":
            from vexkd.engines.tensorrt_session import TensorrtRuntime

            self._runtime = TensorrtRuntime(bundle, engine_for_this_gpu(bundle))
        else:
            from vexkd.engines.onnx_session import OnnxRuntime

            self._runtime = OnnxRuntime(bundle.model, self.device, threads)
        self.runtime = self._runtime.name

    def run(self, inputs: Arrays) -> Arrays:
        """Run the model once.

        Args:
            inputs: exactly the arrays the manifest names, with its shapes and dtypes.

        Raises:
            UserError: an input is missing, unknown or of another shape or dtype.
        """
        tensors = self.bundle.manifest.inputs
        names = {tensor.name for tensor in tensors}
        if set(inputs) != names:
            raise UserError(f"{self.bundle.path} takes {', '.join(sorted(names))}, got {', '.join(sorted(inputs))}")
        for tensor in tensors:
            _check(tensor, inputs[tensor.name], self.bundle)
        return self._runtime.run({name: np.ascontiguousarray(value) for name, value in inputs.items()})


def choose_device(bundle: Bundle) -> Device:
    """The best of ``tensorrt``, ``cuda`` and ``cpu`` that this machine has what it takes for."""
    from vexkd.engines.onnx_session import has_cuda

    if not find_gpus():
        return "cpu"
    if matching_engine(bundle) is not None and _can_drive_tensorrt():
        return "tensorrt"
    return "cuda" if has_cuda() else "cpu"


def matching_engine(bundle: Bundle) -> Engine | None:
    """The bundle's engine that can run on the first GPU of this machine, if there is one and its TensorRT, too."""
    gpus = find_gpus()
    for engine in bundle.manifest.engines:
        if gpus and engine.compute_capability == gpus[0].compute_capability and not unusable(bundle, engine):
            return engine
    return None


def unusable(bundle: Bundle, engine: Engine) -> str:
    """Why an engine cannot run on a machine with a GPU of its kind; "" if nothing is known against it."""
    from vexkd.engines.tensorrt_flavour import INSTALL, is_installed

    if not engine.gpu_code:
        return (
            f"{bundle.path / engine.file} never runs: it was exported with --cpu-only, and the bundle's "
            f"{PLUGIN_LIBRARY} has no GPU code for compute capability {engine.compute_capability}; rebuild the library "
            f"where nvcc is with: make native CUDA=ON, and export the bundle again with: {remake(bundle.manifest)} "
            f"--out {bundle.path}"
        )
    if not is_installed(engine.flavour):
        return f"{engine.file} needs {engine.flavour}; install it with: {INSTALL[engine.flavour]}"
    return ""


def why_not_here(bundle: Bundle, engine: Engine) -> str:
    """Why an engine does not run on this machine, "" if it does; TensorRT is not imported for that."""
    gpus = find_gpus()
    if not engine.gpu_code:
        return "never runs: exported with --cpu-only, and the bundle's library has no GPU code for it"
    if not gpus:
        return "no NVIDIA GPU or driver here"
    if engine.compute_capability != gpus[0].compute_capability:
        return f"this GPU is {gpus[0].name} ({gpus[0].compute_capability})"
    found = package_version(engine.flavour.replace("_", "-"))
    if found not in (None, engine.version):
        return f"built by {engine.flavour} {engine.version}, installed is {found}"
    missing = "" if _can_drive_tensorrt() else "needs pycuda; install it with: pip install 'vexkd[gpu]'"
    return unusable(bundle, engine) or missing


def engine_for_this_gpu(bundle: Bundle) -> Engine:
    """Like :func:`matching_engine`, but its absence is an error.

    Raises:
        UserError: no GPU, or no engine that can run on it, with the reason.
    """
    gpus = find_gpus()
    if not gpus:
        raise UserError("device tensorrt needs an NVIDIA GPU and its driver, none was found; use device cpu")
    engine = matching_engine(bundle)
    if engine is not None:
        return engine
    engines = bundle.manifest.engines
    for built in engines:
        if built.compute_capability == gpus[0].compute_capability:
            raise UserError(unusable(bundle, built))
    held = ", ".join(f"{engine.target} ({engine.compute_capability})" for engine in engines) or "none"
    raise UserError(
        f"{bundle.path} holds engines for: {held}; this GPU is {gpus[0].name} ({gpus[0].compute_capability}); "
        f"add one with: vexkd export {bundle.path} --add-target {gpus[0].compute_capability}"
    )


def _can_drive_tensorrt() -> bool:
    from importlib.util import find_spec

    return find_spec("pycuda") is not None


def _check(tensor: Tensor, value: NDArray[Any], bundle: Bundle) -> None:
    if value.shape != tensor.shape or value.dtype != np.dtype(tensor.dtype):
        raise UserError(
            f"{bundle.path}: input {tensor.name} is {tensor.dtype} {list(tensor.shape)}, "
            f"got {value.dtype} {list(value.shape)}; it was exported for other data"
        )
