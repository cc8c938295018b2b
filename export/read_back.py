"""An engine is read back and compared with the graph and the manifest, before a bundle may hold it.

The network is compared as it goes into the builder, the layers as the builder lists those of the finished engine. Where
this machine has a GPU of the target's kind the file itself is deserialised, too; elsewhere no TensorRT does that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import onnx

from vexkd.engines.manifest import Tensor
from vexkd.engines.tensorrt_flavour import Flavour
from vexkd.export.engine_layers import PLUGIN_KINDS, Layer, precisions_of
from vexkd.export.graph_types import convolution_types
from vexkd.export.operators import DOMAIN

_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8", "INT8": "int8"}
_PRECISIONS = {"FLOAT": "fp32", "HALF": "fp16"}
Signature = tuple[str, str, tuple[int, ...]]


def network_problems(network: Any, trt: Any, graph: onnx.GraphProto, tensors: Sequence[Tensor]) -> list[str]:
    """What of a parsed network is not as in the graph and the manifest: inputs and outputs, plugins, convolutions."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    found = [network.get_input(index) for index in range(network.num_inputs)]
    found += [network.get_output(index) for index in range(network.num_outputs)]
    signatures = [
        (tensor.name, _TYPES.get(tensor.dtype.name, tensor.dtype.name), tuple(tensor.shape)) for tensor in found
    ]
    plugins = sum(layer.type == trt.LayerType.PLUGIN_V3 for layer in layers)
    expected = Counter(node.op_type for node in graph.node if node.domain == DOMAIN)
    problems = tensor_problems(signatures, tensors)
    if plugins != expected.total():
        problems.append(
            f"the graph has {expected.total()} nodes of ours ({dict(expected)}), TensorRT made {plugins} of them "
            "plugin layers: the others would run as their ONNX function bodies"
        )
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)
    precisions = {
        layer.name: {_PRECISIONS.get(layer.get_input(0).dtype.name, "")} for layer in layers if layer.type in kinds
    }
    return problems + _other_precisions(precisions, convolution_types(graph))


def engine_problems(layers: Sequence[Layer], graph: onnx.GraphProto) -> list[str]:
    """What of an engine's layers is not as in the graph: a plugin that is not there, a convolution of another type.

    A convolution that no layer names is not judged; an engine whose layers are not listed has no problems.
    """
    if not layers:
        return []
    plugins = [layer for layer in layers if layer.kind in PLUGIN_KINDS]
    named = {name for layer in plugins for name in layer.nodes}
    ours = [node for node in graph.node if node.domain == DOMAIN]
    missing = [f"{node.op_type} ({node.name})" for node in ours if node.name not in named]
    problems = [f"the engine has no plugin layer for {', '.join(missing)}"] if missing else []
    wanted = convolution_types(graph)
    return problems + _other_precisions({name: precisions_of(name, layers) for name in wanted}, wanted)


def deserialised_problems(flavour: Flavour, data: bytes, logger: Any, tensors: Sequence[Tensor]) -> list[str]:
    """What of an engine's inputs and outputs is not as in the manifest; needs a GPU of the engine's kind."""
    trt = flavour.trt
    engine = trt.Runtime(logger).deserialize_cuda_engine(data)
    if engine is None:
        return ["TensorRT does not take the engine it has just built"]
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    names.sort(key=lambda name: engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT)
    signatures = [_signature(name, engine.get_tensor_dtype(name), engine.get_tensor_shape(name)) for name in names]
    return tensor_problems(signatures, tensors)


def tensor_problems(found: Iterable[Signature], tensors: Sequence[Tensor]) -> list[str]:
    """Whether inputs and outputs are those of the manifest, in any order."""
    # See vexkd.export.engine_graph: the bytes of uint8 come to an engine under the name of int8.
    wanted = {(one.name, "int8" if one.dtype == "uint8" else one.dtype, one.shape) for one in tensors}
    given = set(found)
    told = [f"has {_told(one)}, which the manifest does not" for one in sorted(given - wanted)]
    return told + [f"lacks {_told(one)} of the manifest" for one in sorted(wanted - given)]


def _other_precisions(found: dict[str, set[str]], allowed: dict[str, set[str]]) -> list[str]:
    other = {name: kinds for name, kinds in found.items() if name in allowed and not kinds <= allowed[name]}
    return [
        f"{len(other)} of {len(allowed)} convolutions are of another type than in the graph, first {name}: "
        f"{' and '.join(sorted(kinds))} instead of {' or '.join(sorted(allowed[name]))}"
        for name, kinds in list(other.items())[:1]
    ]


def _signature(name: str, dtype: Any, shape: Iterable[int]) -> Signature:
    return name, _TYPES.get(dtype.name, dtype.name), tuple(shape)


def _told(signature: Signature) -> str:
    name, kind, shape = signature
    return f"{name} {kind} {list(shape)}"
