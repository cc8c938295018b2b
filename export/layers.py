"""The layers of a traced graph that may be quantised, and those that stay in float with the reason."""

from collections import defaultdict
from typing import Literal, NamedTuple

import onnx
from onnx import NodeProto

LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
PASSING = ("MaxPool", "Concat", "Resize")
"""Operators between layers that move or mix values of one scale."""


class Layer(NamedTuple):
    """A convolution, transposed convolution or linear layer with constant weights."""

    name: str
    """Path of its module, "head.shared.0"."""
    node: NodeProto
    weight: str
    """Initialiser."""
    axis: int
    """Of the weight's output channels."""

    @property
    def input(self) -> str:
        """The activation that it reads."""
        return self.node.input[0]


class Graph:
    """A model's tensors by who makes and who reads them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.outputs = {output.name for output in model.graph.output}

    def result(self, node: NodeProto) -> str:
        """A node's output, after the ReLU where nothing else reads it."""
        output = node.output[0]
        readers = self.readers[output]
        if len(readers) == 1 and readers[0].op_type == "Relu" and output not in self.outputs:
            return readers[0].output[0]
        return output

    def source(self, tensor: str) -> NodeProto | None:
        """The node that makes a tensor, before its ReLU."""
        node = self.makers.get(tensor)
        if node is not None and node.op_type == "Relu":
            before = self.makers.get(node.input[0])
            if before is not None and self.result(before) == tensor:
                return before
        return node


def find_layers(model: onnx.ModelProto) -> tuple[list[Layer], dict[str, str]]:
    """Layers that may be quantised in the graph's order, and why each of the other layers may not, by name."""
    graph = Graph(model)
    layers, kept = [], {}
    for node in graph.nodes:
        if node.op_type not in LAYERS:
            continue
        name = layer_name(node)
        side = _constant_side(node, graph)
        if side is None:
            continue  # a product of activations is no layer
        if side == "left":
            kept[name] = (
                "attention's product with its weights on the left, whose results are coordinates or are sampled"
            )
        elif node.op_type == "Gemm":
            kept[name] = "the point MLP: 8 bits resolve 50 m to 40 cm"
        else:
            layers.append(Layer(name, node, node.input[1], _output_axis(node)))
    return layers, kept


def layer_name(node: NodeProto) -> str:
    """The module's path from the traced node's name, "model.head.shared.0/Conv", without the casts' wrappers."""
    path = node.name.split("/")[0].removeprefix("model.")
    return path.removesuffix(".fp16").removesuffix(".fp32")


def _constant_side(node: NodeProto, graph: Graph) -> Literal["left", "right"] | None:
    if node.input[1] in graph.constants:
        return "right"
    return "left" if node.input[0] in graph.constants else None


def _output_axis(node: NodeProto) -> int:
    return 0 if node.op_type == "Conv" else 1
