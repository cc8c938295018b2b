"""A bundle on one backend, made to say as much of a frame as it can; for comparing it with another."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

from numpy.typing import NDArray

from vexkd.engines.bundle import Bundle
from vexkd.engines.onnx_session import OnnxRuntime, Operators
from vexkd.engines.preprocess import Frame, check_images, model_inputs
from vexkd.engines.session import Session
from vexkd.export.parity import DENSE_OUTPUTS

Backend = Literal["cpu", "bodies", "cuda", "tensorrt"]
"""ONNX Runtime on the CPU with our kernels or with the model's function bodies, on CUDA; the bundle's engine."""

Arrays = dict[str, NDArray[Any]]


class Contestant:
    """A bundle's model on a backend.

    Args:
        bundle: verified.
        backend: what runs it.
        threads: of ONNX Runtime; 0 takes all cores.
        inner: names of inner tensors that are wanted in place of what boxes are decoded from; needs ``onnx``, and an
            engine has none.

    Raises:
        UserError: the backend is not here.
    """

    def __init__(self, bundle: Bundle, backend: Backend, threads: int = 0, inner: Sequence[str] | None = None) -> None:
        self.bundle, self.backend = bundle, backend
        self._runtime: OnnxRuntime | Session
        if backend == "tensorrt":
            self._runtime = session = Session(bundle, "tensorrt")
            self.runtime = session.runtime
            return
        names = DENSE_OUTPUTS if inner is None else inner
        model: Any = bundle.model
        if has_onnx():
            from vexkd.export.inner_tensors import with_outputs_too

            model = with_outputs_too(bundle.model, names)
        operators: Operators = "bodies" if backend == "bodies" else "native"
        self._runtime = found = OnnxRuntime(model, "cuda" if backend == "cuda" else "cpu", threads, operators)
        self.runtime = found.name

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name: the manifest's, and what boxes are decoded from, or inner tensors, where they can be had."""
        return self._runtime.run(inputs)


def bundle_inputs(bundle: Bundle, frame: Frame) -> Arrays:
    """A frame as a bundle's model takes it.

    Raises:
        UserError: the frame is not what the bundle was exported for.
    """
    manifest = bundle.manifest
    if manifest.camera is not None:
        check_images(frame.images, manifest.camera, bundle)
    return model_inputs(manifest.camera, manifest.points, frame)


def has_onnx() -> bool:
    """Whether the package ``onnx`` is installed, which a deployed machine need not have."""
    return find_spec("onnx") is not None
