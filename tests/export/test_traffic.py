"""Kernels and bytes of small graphs, counted by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vexkd.export.flops import known_shapes
from vexkd.export.stages import DECODE, node_stages, stage_of
from vexkd.export.traffic import Kernel, find_kernels

FLOAT, HALF, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8


def graph(
    nodes: list[onnx.NodeProto],
    shapes: dict[str, tuple[int, ...]],
    outputs: tuple[str, ...],
    weights: dict[str, tuple[int, ...]] | None = None,
    kinds: dict[str, int] | None = None,
) -> onnx.ModelProto:
    """``shapes`` of every tensor but the weights; those that no node makes are inputs."""
    made = {name for node in nodes for name in node.output}
    values = {n: helper.make_tensor_value_info(n, (kinds or {}).get(n, FLOAT), s) for n, s in shapes.items()}
    parameters = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in (weights or {}).items()]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [value for name, value in values.items() if name not in made],
            [values[name] for name in outputs],
            parameters,
            value_info=[value for name, value in values.items() if name in made and name not in outputs],
        )
    )


def kernels(model: onnx.ModelProto) -> list[Kernel]:
    return find_kernels(model, known_shapes(model))


def test_a_residual_layer_is_two_kernels() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"]),
        helper.make_node("Add", ["c", "x"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    size = (1, 2, 4, 4)
    model = graph(nodes, dict.fromkeys("xabcdy", size), ("y",), {"w1": (2, 2, 1, 1), "w2": (2, 2, 1, 1)})
    first, second = kernels(model)
    assert (first.nodes, second.nodes) == ([0, 1], [2, 3, 4])
    values, weights = 4 * 32, 4 * 4
    assert (first.weights, first.activations) == (weights, 2 * values)
    # Reads b and the residual x, writes y.
    assert (second.weights, second.activations) == (weights, 3 * values)


def test_what_two_read_is_written_and_read_twice() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Sigmoid", ["a"], ["c"]),
    ]
    first, second, third = kernels(graph(nodes, dict.fromkeys("xabc", (3, 3)), ("b", "c"), {"w": (3, 3)}))
    assert [kernel.bytes for kernel in (first, second, third)] == [3 * 36, 2 * 36, 2 * 36]


def test_views_are_free_and_copies_are_not() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["turned"]),
        helper.make_node("Cast", ["turned"], ["half"], to=HALF),
        helper.make_node("MatMul", ["half", "other"], ["y"]),
    ]
    shapes = {"x": (2, 2, 3), "flat": (4, 3), "turned": (3, 4), "half": (3, 4), "other": (4, 5), "y": (3, 5)}
    kinds = dict.fromkeys(("half", "other", "y"), HALF)
    copy, product = kernels(graph(nodes, shapes, ("y",), {"shape": (2,)}, kinds))
    assert copy.nodes == [1, 2] and copy.bytes == 12 * 4 + 12 * 2
    assert product.bytes == 2 * (12 + 20 + 15)


def test_a_slice_reads_what_it_takes() -> None:
    nodes = [helper.make_node("Gather", ["table", "index"], ["y"])]
    (kernel,) = kernels(graph(nodes, {"table": (1000, 4), "index": (3,), "y": (3, 4)}, ("y",)))
    assert kernel.bytes == 4 * (12 + 3 + 12)


def test_constants_are_computed_before_and_quantised_tensors_are_bytes() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale"], ["real"]),
        helper.make_node("Mul", ["w", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["real", "scaled"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "scale"], ["y"]),
    ]
    shapes = {"x": (5, 5), "real": (5, 5), "scaled": (5, 5), "a": (5, 5), "y": (5, 5)}
    weights = {"w": (5, 5), "scale": (1,)}
    (kernel,) = kernels(graph(nodes, shapes, ("y",), weights, {"x": BYTE, "y": BYTE}))
    assert kernel.nodes == [2, 3]
    assert kernel.activations == 25 + 25 and kernel.weights == 4 * 25 + 4


def test_our_operators_launch_more_than_one_kernel() -> None:
    nodes = [helper.make_node("PillarMax", ["x", "cells"], ["y"], domain="vexkd")]
    (kernel,) = kernels(graph(nodes, {"x": (7, 2), "cells": (7,), "y": (1, 2, 4, 4)}, ("y",)))
    assert kernel.launches == 6 and kernel.bytes == 4 * (14 + 7 + 32)


def test_a_tensor_without_a_shape_is_named() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["hidden"]), helper.make_node("MatMul", ["hidden", "hidden"], ["y"])]
    model = graph(nodes, {"x": (2, 2), "y": (2, 2)}, ("y",))
    with pytest.raises(ValueError, match="hidden has no static shape and type"):
        kernels(model)


def test_stages_by_module() -> None:
    assert stage_of("model.lidar.stages.0.1") == "LiDAR stages"
    assert stage_of("model.lidar") == stage_of("model.lidar.points.linear") == "pillars"
    assert stage_of("model.lidars") is None and stage_of("") is None


def test_nodes_outside_the_modules_belong_to_their_first_reader() -> None:
    names = [
        "/Cast",
        "/Unsqueeze",
        "model.camera/Reshape",
        "model.camera.preparation/Resize",
        "model.head.0/Conv",
        "/TopK",
    ]
    nodes = [helper.make_node("Relu", [str(i)], [str(i + 1)], name=name) for i, name in enumerate(names)]
    found = node_stages(graph(nodes, {str(i): (1,) for i in range(7)}, ("6",)).graph)
    assert found == ["image preparation"] * 4 + ["head", DECODE]
