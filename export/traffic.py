"""The kernels a compiler would make of a graph, and the bytes that each of them has to move.

The model of fusion, which no runtime follows to the letter:

- changes of shape, broadcasts and dequantisation cost nothing: who reads them reads what they come from;
- element-wise arithmetic and casts join the kernel that makes their latest input, if they alone read it: the bias, the
  residual sum and the ReLU of a convolution are part of its kernel;
- copies (transpose, slice, concatenate, gather) join such a kernel too, unless it computes products or sums;
- what depends on constants alone is computed when the engine is built;
- every other node is a kernel, and our operators are as many as they launch.

A kernel reads each of its inputs once, from memory, of a slice or a gather only what is taken, and writes what others
read. Caches are left to the reader of these figures: a tensor that stays in L2 moves faster than one that does not.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto, helper

from vexkd.export.flops import ELEMENTWISE, Shapes

VIEWS = {
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Expand", "DequantizeLinear"),
    *("Constant", "ConstantOfShape", "Shape"),
}
POINTWISE = ELEMENTWISE | {
    *("Cast", "CastLike", "Where", "Not", "And", "Or", "IsNaN", "IsInf", "Mod", "QuantizeLinear", "BatchNormalization"),
}
COPIES = {"Transpose", "Slice", "Split", "Concat", "Pad", "Gather", "GatherElements", "GatherND"}
PARTIAL = {"Slice", "Split", "Gather", "GatherElements", "GatherND"}
"""Copies that read no more of their first input than they write."""
LAUNCHES = {"Voxelize": 3, "PillarMax": 6, "BevPool": 2, "FrustumIndex": 5}
"""CUDA launches of our operators (docs/kernels.md); other kernels are one."""


@dataclass
class Kernel:
    """Nodes that run as one; sizes in bytes."""

    light: bool
    """Whether it only copies and computes value by value, so that copies may join it."""
    launches: int
    nodes: list[int] = field(default_factory=list)
    """Indices into the graph's nodes, the first of which gives the kernel its kind and stage."""
    weights: int = 0
    activations: int = 0

    @property
    def bytes(self) -> int:
        """All that is moved."""
        return self.weights + self.activations


def find_kernels(model: onnx.ModelProto, shapes: Shapes) -> list[Kernel]:
    """Kernels of a model in the order of the graph.

    Raises:
        ValueError: a tensor that is moved has no known shape.
    """
    nodes = model.graph.node
    source, constants = _sources(model.graph)
    readers: dict[str, set[int]] = defaultdict(set)
    for index, node in enumerate(nodes):
        if node.op_type not in VIEWS:
            for name in _inputs(node, source):
                readers[name].add(index)
    results = {source[output.name] for output in model.graph.output}
    kernels: list[Kernel] = []
    maker: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if node.op_type in VIEWS or all(name in constants for name in node.output):
            continue
        made = [name for name in _inputs(node, source) if name in maker]
        latest = max(made, key=lambda name: maker[name], default="")
        alone = latest != "" and readers[latest] == {index} and latest not in results
        number = maker[latest] if alone and _joins(node, kernels[maker[latest]]) else len(kernels)
        if number == len(kernels):
            kernels.append(Kernel(node.op_type in POINTWISE | COPIES, LAUNCHES.get(node.op_type, 1)))
        kernels[number].nodes.append(index)
        maker |= dict.fromkeys(node.output, number)
    sizes = _Sizes(model.graph, shapes)
    for number, kernel in enumerate(kernels):
        _move(kernel, [nodes[index] for index in kernel.nodes], sizes, source, constants)
        inside = set(kernel.nodes)
        written = [name for name, made_by in maker.items() if made_by == number]
        kernel.activations += sum(sizes[name] for name in written if name in results or readers[name] - inside)
    return kernels


def element_types(graph: onnx.GraphProto) -> dict[str, int]:
    """ONNX's number of the element type of each tensor that has one on record."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    values = (*graph.input, *graph.output, *graph.value_info)
    return types | {value.name: value.type.tensor_type.elem_type for value in values}


def _joins(node: NodeProto, kernel: Kernel) -> bool:
    return node.op_type in POINTWISE or (node.op_type in COPIES and kernel.light)


def _sources(graph: onnx.GraphProto) -> tuple[dict[str, str], set[str]]:
    """The tensor that each tensor is a view of (itself, where it is none), and those that are constants."""
    constants = {tensor.name for tensor in graph.initializer}
    source = {name: name for name in (*(value.name for value in graph.input), *constants)}
    for node in graph.node:
        given = [name for name in node.input if name]
        if all(source.get(name, name) in constants for name in given):
            constants |= set(node.output)
        view = node.op_type in VIEWS and bool(given)
        source |= {name: source[given[0]] if view else name for name in node.output}
    return source, constants


def _inputs(node: NodeProto, source: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(source[name] for name in node.input if name))


def _move(
    kernel: Kernel, nodes: Iterable[NodeProto], sizes: "_Sizes", source: dict[str, str], constants: set[str]
) -> None:
    """Add what the kernel reads of tensors that it does not make itself."""
    own: set[str] = set()
    reads: dict[str, int] = {}
    for node in nodes:
        for position, name in enumerate(_inputs(node, source)):
            if name not in own:
                taken = sum(sizes[output] for output in node.output if output)
                part = node.op_type in PARTIAL and position == 0
                size = min(sizes[name], taken) if part else sizes[name]
                reads[name] = max(reads.get(name, 0), size)
        own |= set(node.output)
    kernel.weights = sum(size for name, size in reads.items() if name in constants)
    kernel.activations = sum(size for name, size in reads.items() if name not in constants)


class _Sizes:
    """Bytes of tensors by name."""

    def __init__(self, graph: onnx.GraphProto, shapes: Shapes) -> None:
        self.shapes, self.types = shapes, element_types(graph)

    def __getitem__(self, name: str) -> int:
        if name not in self.shapes or name not in self.types:
            raise ValueError(f"tensor {name} has no static shape and type, so its bytes cannot be counted")
        return math.prod(self.shapes[name]) * helper.tensor_dtype_to_np_dtype(self.types[name]).itemsize
