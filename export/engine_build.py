"""Builds TensorRT engines with our plugins in them, for a GPU that need not be here."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from vexkd.engines.gpu import find_gpus
from vexkd.engines.manifest import Engine
from vexkd.engines.tensorrt_flavour import INSTALL, Flavour, Messages, is_installed, load_flavour, load_plugins
from vexkd.export.engine_graph import engine_graph
from vexkd.export.operators import DOMAIN
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256
from vexkd.plugins.library import cuda_architectures, has_cuda

TARGETS = {"rtx3090": "8.6", "rtx4090": "8.9", "rtx5090": "12.0", "h100": "9.0"}
"""Compute capability of each target by name."""


class Build(NamedTuple):
    """A serialised engine and what the manifest says about it."""

    data: bytes
    entry: Engine


def check_target(target: str) -> Flavour:
    """The flavour of TensorRT that builds for a target on this machine.

    Full TensorRT is taken where this machine's GPU is of the target's kind, else TensorRT for RTX.

    Raises:
        UserError: the target is unknown, no TensorRT here can build for it, or the RTX one does not know its GPU.
    """
    capability = TARGETS.get(target)
    if capability is None:
        raise UserError(f"unknown target {target!r}; known are: {', '.join(TARGETS)}")
    native = any(gpu.compute_capability == capability for gpu in find_gpus())
    if native and is_installed("tensorrt"):
        return load_flavour("tensorrt")
    if not is_installed("tensorrt_rtx"):
        raise UserError(f"target {target} needs a TensorRT; install one with: {INSTALL['tensorrt_rtx']}")
    flavour = load_flavour("tensorrt_rtx")
    known = _capabilities(flavour)
    if capability not in known:
        raise UserError(
            f"{flavour.name} {flavour.version} cannot build for {target} (compute capability {capability}), it knows "
            f"{', '.join(known)}; on such a GPU, full TensorRT can: {INSTALL['tensorrt']}"
        )
    return flavour


def check_gpu_code(target: str) -> None:
    """Make sure that the native library, which the bundle will carry, can run on a target.

    Raises:
        UserError: it was built without CUDA, or without GPU code that the target's GPU can use.
    """
    if has_gpu_code(TARGETS[target]):
        return
    held = f"for {', '.join(cuda_architectures())} only" if has_cuda() else "without CUDA"
    raise UserError(
        f"the native library was built {held}, so an engine for {target} (compute capability {TARGETS[target]}) could "
        f"be built with it and never run; rebuild it where nvcc is with: make native CUDA=ON, or export a bundle that "
        f"only shows that the engine builds with: --cpu-only"
    )


def has_gpu_code(capability: str) -> bool:
    """Whether the native library has machine code for a compute capability ("8.9"), or PTX that serves it."""

    def serves(code: str) -> bool:
        wanted, held = _numbers(capability), _numbers(code.removesuffix("+"))
        # Machine code runs on later minors of its major.
        return held <= wanted and (code.endswith("+") or held[0] == wanted[0])

    return any(serves(code) for code in cuda_architectures())


def _numbers(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)


def build_engine(model: Path, library: Path, target: str) -> Build:
    """Build the engine of a bundle's ONNX model for a target; strongly typed, so as precise as the graph says.

    Args:
        model: ONNX file.
        library: our plugin library.
        target: a name of ``TARGETS``.

    Raises:
        UserError: see :func:`check_target`; the plugin library cannot be loaded; TensorRT refuses the model.
        RuntimeError: a node of ours became something else than a plugin layer.
    """
    flavour = check_target(target)
    trt = flavour.trt
    load_plugins(flavour, library)
    messages = Messages(flavour)
    builder = trt.Builder(messages.logger)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, messages.logger)
    if not parser.parse(engine_graph(model)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors)) or messages.last()
        raise UserError(f"{flavour.name} {flavour.version} cannot read {model}: {' '.join(reasons.split())}")
    layers = _plugin_layers(network, trt)
    _check_plugins(layers, model)
    config = builder.create_builder_config()
    if flavour.name == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capabilities(flavour)[TARGETS[target]], 0)
    blob = builder.build_serialized_network(network, config)
    if blob is None:
        raise UserError(f"{flavour.name} {flavour.version} cannot build {model} for {target}: {messages.last()}")
    entry = Engine(
        target=target,
        file=f"{target}.engine",
        flavour=flavour.name,
        version=flavour.version,
        compute_capability=TARGETS[target],
        plugin_library_sha256=sha256(library),
        plugin_layers=len(layers),
    )
    return Build(bytes(blob), entry)


def _capabilities(flavour: Flavour) -> dict[str, Any]:
    """What the RTX builder can build for: "8.9" to its enumerator SM89."""
    names = [name for name in flavour.trt.ComputeCapability.__members__ if name.startswith("SM")]
    return {
        f"{name[2:-1]}.{name[-1]}": getattr(flavour.trt.ComputeCapability, name)
        for name in sorted(names, key=lambda name: int(name[2:]))
    }


def _strongly_typed(trt: Any) -> int:
    """Flags of a strongly typed network; from TensorRT 11 on, and for RTX, there is no other kind."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _plugin_layers(network: Any, trt: Any) -> list[Any]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V3]


def _check_plugins(layers: list[Any], model: Path) -> None:
    nodes = onnx.load(model, load_external_data=False).graph.node
    expected = Counter(node.op_type for node in nodes if node.domain == DOMAIN)
    if len(layers) != expected.total():
        raise RuntimeError(
            f"{model} has {expected.total()} nodes of ours ({dict(expected)}), TensorRT made {len(layers)} of them "
            f"plugin layers: the others run as their ONNX function bodies"
        )
