"""ONNX Runtime as a runtime of bundles: the operators run as their function bodies."""

from pathlib import Path
from typing import Literal

import onnxruntime

from vexkd.engines.session import Arrays
from vexkd.plugins.errors import UserError

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}


def has_cuda() -> bool:
    """Whether this ONNX Runtime was built with CUDA."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()  # type: ignore[attr-defined]


class OnnxRuntime:
    """An ONNX Runtime session on the CPU or through its CUDA provider.

    Raises:
        UserError: the CUDA provider is asked for and missing or fails, or the model cannot be loaded.
    """

    def __init__(self, model: Path | bytes, device: Literal["auto", "cpu", "cuda", "tensorrt"], threads: int) -> None:
        if device == "cuda" and not has_cuda():
            raise UserError("device cuda needs onnxruntime-gpu; install it with: pip install 'vexkd[gpu]'")
        options = onnxruntime.SessionOptions()  # type: ignore[attr-defined]
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source, name = (str(model), str(model)) if isinstance(model, Path) else (model, "the model")
        try:
            self._session = onnxruntime.InferenceSession(  # type: ignore[attr-defined]
                source, options, providers=_PROVIDERS[device]
            )
        except Exception as error:
            raise UserError(f"ONNX Runtime cannot load {name}: {' '.join(str(error).split())}") from error
        provider = self._session.get_providers()[0]
        if provider != _PROVIDERS[device][0]:
            raise UserError(f"ONNX Runtime fell back from {_PROVIDERS[device][0]} to {provider}; use device cpu")
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.name = f"ONNX Runtime {onnxruntime.__version__} ({device.upper()})"

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))
