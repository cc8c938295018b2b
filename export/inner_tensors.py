"""The inner tensors of an ONNX graph as outputs, to look at what a model computes on its way."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def float_tensors(file: Path) -> dict[str, tuple[int, ...]]:
    """Shape by name of what the nodes of a model make, in the order in which they make it; floating point only."""
    graph = onnx.load(file, load_external_data=False).graph
    declared = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.output)}
    made = [name for node in graph.node for name in node.output if name in declared]
    return {
        name: tuple(dim.dim_value for dim in declared[name].shape.dim)
        for name in made
        if declared[name].elem_type in FLOATS
    }


def with_outputs_too(file: Path, names: Sequence[str]) -> bytes:
    """The model of a file with these of its inner tensors as further outputs; those it does not have are left out."""
    model = onnx.load(file)
    graph = model.graph
    there = {output.name for output in graph.output}
    further = [value for value in graph.value_info if value.name in names and value.name not in there]
    graph.output.extend(further)
    content: bytes = model.SerializeToString()
    return content
