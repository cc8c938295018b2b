"""Which type each value and node of an ONNX graph has."""

import onnx
from onnx import TensorProto

from vexkd.engines.manifest import TypeCounts

NAMES: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "fp64",
    TensorProto.FLOAT8E4M3FN: "fp8",
}
CONVOLUTIONS = ("Conv", "ConvTranspose")
QUANTISED = "DequantizeLinear"


def value_types(graph: onnx.GraphProto) -> dict[str, str]:
    """Type of every value of a graph whose inner values are declared: fp32, fp16, int8, ..."""
    declared = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        declared[value.name] = value.type.tensor_type.elem_type
    return {
        name: NAMES.get(kind, onnx.helper.tensor_dtype_to_string(kind).removeprefix("TensorProto.").lower())
        for name, kind in declared.items()
    }


def count_nodes(graph: onnx.GraphProto) -> TypeCounts:
    """How many nodes, by the type of their first input and by operator; those without an input count as "none"."""
    types = value_types(graph)
    counts: TypeCounts = {}
    for node in sorted(graph.node, key=lambda node: node.op_type):
        kinds = counts.setdefault(_first_type(node, types), {})
        kinds[node.op_type] = kinds.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def convolution_types(graph: onnx.GraphProto) -> dict[str, set[str]]:
    """By name of each convolution, the types it may be computed in: that of its input.

    Behind a dequantisation also that of what is dequantised, in which TensorRT computes where it has a kernel for it.
    """
    types = value_types(graph)
    makers = {name: node for node in graph.node for name in node.output}
    found = {}
    for node in graph.node:
        if node.op_type in CONVOLUTIONS:
            maker = makers.get(node.input[0])
            found[node.name] = {_first_type(node, types)}
            if maker is not None and maker.op_type == QUANTISED:
                found[node.name].add(_first_type(maker, types))
    return found


def _first_type(node: onnx.NodeProto, types: dict[str, str]) -> str:
    return types.get(node.input[0], "unknown") if node.input else "none"
