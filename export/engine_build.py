"""Builds TensorRT engines with our plugins in them, for a GPU that need not be here."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from vexkd.engines.cache import cache_file, read_cache, write_cache
from vexkd.engines.gpu import find_gpus
from vexkd.engines.manifest import Engine, Tensor
from vexkd.engines.targets import Target, serves
from vexkd.engines.tensorrt_flavour import INSTALL, Flavour, Messages, is_installed, load_flavour, load_plugins
from vexkd.export.builder_log import decisive_line, write_log
from vexkd.export.engine_graph import engine_graph
from vexkd.export.engine_layers import count_layers, layers_of_log
from vexkd.export.read_back import deserialised_problems, engine_problems, network_problems
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256
from vexkd.plugins.library import cuda_architectures, find_library, open_library

_MEMORY = re.compile(r"Total (Activation|Weights) Memory: (\d+)")


class Build(NamedTuple):
    """A serialised engine and what the manifest says about it."""

    data: bytes
    entry: Engine


def choose_flavour(target: Target) -> Flavour:
    """The flavour of TensorRT that builds for a target on this machine.

    Full TensorRT is taken where this machine's GPU is of the target's kind, else TensorRT for RTX.

    Raises:
        UserError: no TensorRT here can build for it; the message names one that can, and where.
    """
    if is_native(target) and is_installed("tensorrt"):
        return load_flavour("tensorrt")
    full = f"full TensorRT can, on a machine with such a GPU: {INSTALL['tensorrt']}"
    if not is_installed("tensorrt_rtx"):
        raise UserError(
            f"target {target.name} (compute capability {target.compute_capability}) needs a TensorRT: for an RTX GPU "
            f"install, on any machine, {INSTALL['tensorrt_rtx']}; for others {full}"
        )
    flavour = load_flavour("tensorrt_rtx")
    known = _capabilities(flavour)
    if target.compute_capability not in known:
        raise UserError(
            f"{flavour.name} {flavour.version} cannot build for {target.name} (compute capability "
            f"{target.compute_capability}), it knows {', '.join(known)}; {full}"
        )
    return flavour


def is_native(target: Target) -> bool:
    """Whether a GPU of the target's kind is here."""
    return any(gpu.compute_capability == target.compute_capability for gpu in find_gpus())


def check_gpu_code(target: Target, library: Path | None = None) -> None:
    """Make sure that the library which the bundle carries can run on a target.

    Args:
        target: the GPU.
        library: that of the bundle, by default the installed one.

    Raises:
        UserError: it was built without CUDA, or without GPU code that the target's GPU can use.
    """
    library = find_library() if library is None else library
    if has_gpu_code(target, library):
        return
    architectures = _architectures(library)
    held = f"for {', '.join(architectures)} only" if architectures else "without CUDA"
    raise UserError(
        f"{library} was built {held}, so an engine for {target.name} (compute capability {target.compute_capability}) "
        f"could be built with it and never run; rebuild the library where nvcc is with: make native CUDA=ON, and "
        f"export the run, or only show that the engine builds with: --cpu-only"
    )


def has_gpu_code(target: Target, library: Path | None = None) -> bool:
    """Whether a native library, by default the installed one, has GPU code for a target, or PTX that serves it."""
    return serves(_architectures(find_library() if library is None else library), target.compute_capability)


def _architectures(library: Path) -> tuple[str, ...]:
    return cuda_architectures(open_library(library, "rebuild it with: make native"))


def build_engine(model: Path, library: Path, target: Target, tensors: Sequence[Tensor], log: Path) -> Build:
    """Build the engine of a bundle's ONNX model for a target; strongly typed, so as precise as the graph says.

    Args:
        model: ONNX file.
        library: the plugin library that the bundle carries.
        target: the GPU.
        tensors: inputs and outputs of the manifest, which the engine must have.
        log: where all that TensorRT said is written if it fails; one of an earlier failure is removed.

    Raises:
        UserError: see :func:`choose_flavour`; the plugin library cannot be loaded; TensorRT refuses the model; or what
            it built is not what the graph and the manifest say. The message names ``log``.
    """
    flavour = choose_flavour(target)
    load_plugins(flavour, library)
    messages = Messages(flavour, everything=True)
    log.unlink(missing_ok=True)
    try:
        return _build(flavour, messages, model, library, target, tensors)
    except _BuildError as error:
        head = (
            f"{flavour.name} {flavour.version}, {model.name} for {target.name} ({target.compute_capability}): {error}"
        )
        write_log(log, head, messages.log)
        raise UserError(f"{flavour.name} {flavour.version} {error}; all it said is in {log}") from error


class _BuildError(Exception):
    """Begins with the verb: what TensorRT does not do, and why."""


def _build(
    flavour: Flavour, messages: Messages, model: Path, library: Path, target: Target, tensors: Sequence[Tensor]
) -> Build:
    trt, graph = flavour.trt, onnx.load(model, load_external_data=False).graph
    builder = trt.Builder(messages.logger)
    network = builder.create_network(_strongly_typed(trt))
    if not trt.OnnxParser(network, messages.logger).parse(engine_graph(model)):
        raise _BuildError(f"cannot read {model.name}: {decisive_line(messages.log)}")
    _refuse(target, network_problems(network, trt, graph, tensors))
    data = _serialise(flavour, messages, builder, network, target)
    texts = [text for _, text in messages.log]
    layers, memory = layers_of_log(texts), _memory(texts)
    problems = engine_problems(layers, graph)
    if is_native(target):
        problems += deserialised_problems(flavour, data, messages.logger, tensors)
    _refuse(target, problems)
    entry = Engine(
        target=target.name,
        file=f"{target.name}.engine",
        flavour=flavour.name,
        version=flavour.version,
        compute_capability=target.compute_capability,
        plugin_library_sha256=sha256(library),
        gpu_code=has_gpu_code(target, library),
        plugin_layers=sum(network.get_layer(i).type == trt.LayerType.PLUGIN_V3 for i in range(network.num_layers)),
        layers=count_layers(layers),
        size=len(data),
        activation_bytes=memory.get("Activation"),
        weight_bytes=memory.get("Weights"),
    )
    return Build(data, entry)


def _refuse(target: Target, problems: Iterable[str]) -> None:
    told = "; ".join(problems)
    if told:
        raise _BuildError(f"makes another engine for {target.name} than the graph says: {told}")


def _serialise(flavour: Flavour, messages: Messages, builder: Any, network: Any, target: Target) -> bytes:
    trt = flavour.trt
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the list of layers tells types and ONNX nodes then
    timings = cache_file("timing", flavour, target.compute_capability)
    if flavour.name == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capabilities(flavour)[target.compute_capability], 0)
    else:
        # The one for RTX times nothing while it builds.
        config.set_timing_cache(config.create_timing_cache(read_cache(timings)), ignore_mismatch=False)
    blob = builder.build_serialized_network(network, config)
    if blob is None:
        raise _BuildError(f"cannot build an engine for {target.name}: {decisive_line(messages.log)}")
    if flavour.name != "tensorrt_rtx":
        write_cache(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(blob)


def _memory(texts: Iterable[str]) -> dict[str, int]:
    """Bytes of the GPU's memory by what they are for, as the builder says it."""
    return {match[1]: int(match[2]) for text in texts if (match := _MEMORY.match(text))}


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
