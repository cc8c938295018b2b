"""An engine run by polygraphy: its own buffers and streams, nothing of ours but the plugins. Needs a GPU."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.bundle import Bundle
from vexkd.engines.manifest import Engine
from vexkd.engines.tensorrt_flavour import Messages, load_flavour, load_plugins
from vexkd.plugins.errors import UserError

RTX_SWITCH = "POLYGRAPHY_USE_TENSORRT_RTX"
"""Environment variable by which polygraphy takes TensorRT for RTX; it reads it when it is imported."""


def run_engine(bundle: Bundle, engine: Engine, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Outputs by name of one run.

    Raises:
        UserError: TensorRT refuses the engine, or polygraphy cannot run it.
    """
    flavour = load_flavour(engine.flavour)
    load_plugins(flavour, bundle.plugin_library)
    os.environ[RTX_SWITCH] = "1" if engine.flavour == "tensorrt_rtx" else "0"
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner
    from polygraphy.exception import PolygraphyException

    messages = Messages(flavour)
    loader = EngineFromBytes((bundle.path / engine.file).read_bytes(), runtime=flavour.trt.Runtime(messages.logger))
    try:
        with TrtRunner(loader) as runner:
            return {name: np.array(value) for name, value in runner.infer(inputs).items()}
    except PolygraphyException as error:
        raise UserError(f"polygraphy cannot run {engine.file}: {error}; {messages.last()}") from error
