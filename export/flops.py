"""Counts floating-point operations of an ONNX model with known shapes.

What counts: a multiplication and an addition are one each. Convolutions and matrix products with their biases,
bilinear sampling and resizing (4 products and 3 sums per value, and the weights' product), element-wise arithmetic,
activations and comparisons (1 per value), softmax and layer normalisation (5 and 8 per value), pooling and reductions
(1 per value read), and our operators: ``Voxelize`` 40 per point of the capacity, ``PillarMax`` 1 per feature,
``BevPool`` 2 per frustum point and channel, ``PrepareImages`` 13 per value (sampling and normalisation). What does
not: moving, casting, gathering and sorting data. Where other tools count multiply-adds (MACs), their figure is half of
this one's.
"""

import math
from collections import Counter
from collections.abc import Callable

import onnx
from onnx import NodeProto

Shapes = dict[str, tuple[int, ...]]

VOXELIZE_PER_POINT = 40
SAMPLE = 11
PREPARE = SAMPLE + 2
ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Floor", "Ceil", "Round", "Pow", "Sqrt", "Reciprocal", "Exp", "Log"),
    *("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Atan", "Clip", "Min", "Max"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
}
REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "GlobalAveragePool", "GlobalMaxPool"}


def count_flops(model: onnx.ModelProto) -> dict[str, int]:
    """Operations by operator type, most first.

    Raises:
        ValueError: a tensor that must be counted has no known shape.
    """
    shapes = known_shapes(model)
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        counter = _counter(node)
        if counter is not None:
            counts[node.op_type] += counter(node, shapes)
    return dict(counts.most_common())


def known_shapes(model: onnx.ModelProto) -> Shapes:
    """Static shapes of the main graph's tensors."""
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _counter(node: NodeProto) -> Callable[[NodeProto, Shapes], int] | None:
    if node.op_type in ELEMENTWISE:
        return _per_output(1)
    if node.op_type in REDUCTIONS:
        return lambda node, shapes: _size(node.input[0], shapes)
    return {
        "Conv": _convolution,
        "ConvTranspose": _transposed_convolution,
        "Gemm": _product,
        "MatMul": _product,
        "GridSample": _per_output(SAMPLE),
        "Resize": _resize,
        "Softmax": _per_output(5),
        "LayerNormalization": _per_output(8),
        "BatchNormalization": _per_output(2),
        "MaxPool": _pooling,
        "AveragePool": _pooling,
        "Voxelize": lambda node, shapes: VOXELIZE_PER_POINT * _shape(node.input[0], shapes)[0],
        "PillarMax": lambda node, shapes: _size(node.input[0], shapes),
        "PrepareImages": _per_output(PREPARE),
        "BevPool": lambda node, shapes: 2 * _size(node.input[2], shapes) * _shape(node.input[1], shapes)[1],
    }.get(node.op_type)


def _per_output(operations: int) -> Callable[[NodeProto, Shapes], int]:
    return lambda node, shapes: operations * _size(node.output[0], shapes)


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    _, *window = _shape(node.input[1], shapes)
    return _size(node.output[0], shapes) * (2 * math.prod(window) - (0 if _biased(node) else 1))


def _transposed_convolution(node: NodeProto, shapes: Shapes) -> int:
    _, *window = _shape(node.input[1], shapes)
    bias = _size(node.output[0], shapes) if _biased(node) else 0
    return 2 * _size(node.input[0], shapes) * math.prod(window) + bias


def _product(node: NodeProto, shapes: Shapes) -> int:
    left = _shape(node.input[0], shapes)
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    inner = left[0] if transposed else left[-1]
    return _size(node.output[0], shapes) * (2 * inner - (0 if _biased(node) else 1))


def _biased(node: NodeProto) -> bool:
    return len(node.input) > 2 and bool(node.input[2])


def _resize(node: NodeProto, shapes: Shapes) -> int:
    mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"nearest")
    return 0 if mode == b"nearest" else SAMPLE * _size(node.output[0], shapes)


def _pooling(node: NodeProto, shapes: Shapes) -> int:
    window = next(attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape")
    return math.prod(window) * _size(node.output[0], shapes)


def _size(name: str, shapes: Shapes) -> int:
    return math.prod(_shape(name, shapes))


def _shape(name: str, shapes: Shapes) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"tensor {name} has no static shape, so its operations cannot be counted")
    return shapes[name]
