"""ONNX Runtime as a runtime of bundles: our kernels run the operators, or their function bodies in the model do."""

from pathlib import Path
from typing import Any, Literal

import onnxruntime

from vexkd.engines.session import Arrays
from vexkd.plugins import library
from vexkd.plugins.errors import UserError

Operators = Literal["native", "bodies"]
THREADS_ENTRY = "vexkd.threads"
"""Entry of a session's configuration with its threads, which a library cannot read; see registration.hpp."""

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}


def has_cuda() -> bool:
    """Whether this ONNX Runtime was built with CUDA."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()  # type: ignore[attr-defined]


class OnnxRuntime:
    """An ONNX Runtime session on the CPU or through its CUDA provider.

    Args:
        model: path or bytes of an ONNX model.
        device: ``cpu`` or ``cuda``.
        threads: of the CPU provider; 0 takes all cores.
        operators: ``native`` runs our operators on the kernels of the native library; ``bodies`` leaves them to the
            function bodies in the model. A library without CUDA has nothing to run on a GPU: there ``native`` keeps
            the bodies too, and ``name`` says so.

    Raises:
        UserError: the CUDA provider is asked for and missing or fails, or the model or the native library cannot be
            loaded.
    """

    def __init__(
        self,
        model: Path | bytes,
        device: Literal["auto", "cpu", "cuda", "tensorrt"],
        threads: int,
        operators: Operators = "native",
    ) -> None:
        if device == "cuda" and not has_cuda():
            raise UserError("device cuda needs onnxruntime-gpu; install it with: pip install 'vexkd[gpu]'")
        options = onnxruntime.SessionOptions()  # type: ignore[attr-defined]
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        ran_by = choose_operators(options, device, threads, operators)
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
        self.name = f"ONNX Runtime {onnxruntime.__version__} ({device.upper()}), {ran_by}"

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))


def choose_operators(options: Any, device: str, threads: int, operators: Operators) -> str:
    """Register the native operators with a session's options where they are wanted and of use; what runs, in words."""
    if operators == "bodies":
        return "function bodies"
    if device == "cuda" and not library.has_cuda():
        # Kernels of the CPU would win over bodies on the GPU, and every map would travel there and back.
        return "function bodies (the native library has no CUDA)"
    library.kernels()  # says what is wrong with a library that cannot be loaded
    path = library.find_library()
    options.add_session_config_entry(THREADS_ENTRY, str(threads))
    try:
        options.register_custom_ops_library(str(path))
    except Exception as error:
        raise UserError(f"ONNX Runtime does not take {path}: {' '.join(str(error).split())}") from error
    return "native operators"
