"""Engines really built, for a GPU that need not be here, from graphs whose vexkd nodes must become plugin layers."""

import functools
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from vexkd.engines.tensorrt_flavour import Flavour, Messages, is_installed, load_flavour, load_plugins
from vexkd.plugins.library import find_library

pytestmark = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt_rtx is not installed")

HEIGHT, WIDTH, CELLS = 16, 24, 16 * 24
POINTS, CHANNELS = 100, 11
VIEWS, DEPTHS, ROWS, COLUMNS = 2, 4, 2, 3
FRUSTUM = VIEWS * DEPTHS * ROWS * COLUMNS
TYPES = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}


def node(name: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        name,
        inputs,
        outputs,
        name=name.lower(),
        domain="vexkd",
        plugin_namespace="vexkd",
        plugin_version="1",
        **attributes,
    )


VOXELIZE = node(
    "Voxelize", ["points", "count"], ["features", "cells"], range=[-12.0, -8, -5, 12, 8, 3], cell=[1.0, 1.0]
)
PILLAR_MAX = node("PillarMax", ["pillar_features", "cells"], ["lidar_bev"], height=HEIGHT, width=WIDTH)
BEV_POOL = node("BevPool", ["depth", "context", "frustum", "starts"], ["camera_bev"], height=HEIGHT, width=WIDTH)

FRUSTUM_INDEX = node(
    "FrustumIndex",
    ["rays", "origins"],
    ["frustum", "starts"],
    depths=[1.0, 2.0, 3.0, 4.5],
    feature_height=ROWS,
    feature_width=COLUMNS,
    stride=16,
    range=[-12.0, -8, -5, 12, 8, 3],
    cell=[1.0, 1.0],
)


def tensor(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("vexkd", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def make_model(operator: str, precision: str, points: int | str = POINTS) -> onnx.ModelProto:
    """A graph of one operator alone, or of all four; ``points`` may name a dynamic dimension."""
    real = TYPES[precision]
    lidar = [tensor("points", TensorProto.FLOAT, [points, 5]), tensor("count", TensorProto.INT32, [1])]
    cells = tensor("cells", TensorProto.INT32, [points])
    bev = tensor("lidar_bev", real, [1, CHANNELS, HEIGHT, WIDTH])
    camera = [
        tensor("depth", real, [VIEWS, DEPTHS, ROWS, COLUMNS]),
        tensor("context", real, [VIEWS, 8, ROWS, COLUMNS]),
    ]
    index = [tensor("frustum", TensorProto.INT32, [FRUSTUM]), tensor("starts", TensorProto.INT32, [CELLS + 1])]
    calibration = [
        tensor("rays", TensorProto.FLOAT, [VIEWS, 3, 3]),
        tensor("origins", TensorProto.FLOAT, [VIEWS, 3]),
    ]
    if operator == "Voxelize":
        return model([VOXELIZE], lidar, [tensor("features", TensorProto.FLOAT, [points, 11]), cells])
    if operator == "PillarMax":
        return model([PILLAR_MAX], [tensor("pillar_features", real, [points, CHANNELS]), cells], [bev])
    if operator == "BevPool":
        return model([BEV_POOL], [*camera, *index], [tensor("camera_bev", real, [1, 8, HEIGHT, WIDTH])])
    if operator == "FrustumIndex":
        return model([FRUSTUM_INDEX], calibration, index)
    cast = helper.make_node("Cast", ["features"], ["pillar_features"], to=real)
    join = helper.make_node("Concat", ["lidar_bev", "camera_bev"], ["bev"], axis=1)
    joined = tensor("bev", real, [1, CHANNELS + 8, HEIGHT, WIDTH])
    nodes = [VOXELIZE, cast, PILLAR_MAX, FRUSTUM_INDEX, BEV_POOL, join]
    return model(nodes, [*lidar, *camera, *calibration], [joined])


@functools.cache
def flavour() -> Flavour:
    found = load_flavour("tensorrt_rtx")
    load_plugins(found, find_library())
    return found


class Build:
    """A parsed network and the engine built from it."""

    def __init__(
        self, graph: onnx.ModelProto, embed: bool = False, profile: tuple[int, int, int] | None = None
    ) -> None:
        trt = flavour().trt
        self.messages = Messages(flavour())
        builder = trt.Builder(self.messages.logger)
        self.network = builder.create_network(0)
        parser = trt.OnnxParser(self.network, self.messages.logger)
        self.parsed = parser.parse(graph.SerializeToString())
        self.engine: bytes | None = None
        if not self.parsed:
            return
        self.plugins = sorted(layer.name for layer in self.network if layer.type == trt.LayerType.PLUGIN_V3)
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM89, 0)
        if embed:
            config.plugins_to_serialize = [str(find_library())]
        if profile is not None:
            shapes = builder.create_optimization_profile()
            shapes.set_shape("points", *((size, 5) for size in profile))
            config.add_optimization_profile(shapes)
        built = builder.build_serialized_network(self.network, config)
        self.engine = None if built is None else bytes(built)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("operator", ["Voxelize", "PillarMax", "BevPool", "FrustumIndex", "all"])
def test_every_node_becomes_a_plugin_layer_of_an_engine(operator: str, precision: str) -> None:
    graph = make_model(operator, precision)
    build = Build(graph)
    assert build.parsed, build.messages.lines
    assert build.plugins == sorted(node.name for node in graph.graph.node if node.domain == "vexkd")
    assert build.engine, build.messages.lines


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_output_shapes_and_types_reach_the_network(precision: str) -> None:
    trt = flavour().trt
    build = Build(make_model("all", precision))
    shapes = {out.name: (tuple(out.shape), out.dtype) for layer in build.network for out in [layer.get_output(0)]}
    real = {"fp32": trt.float32, "fp16": trt.float16}[precision]
    assert shapes["features"] == ((POINTS, 11), trt.float32)
    assert shapes["frustum"] == ((FRUSTUM,), trt.int32)
    assert shapes["lidar_bev"] == ((1, CHANNELS, HEIGHT, WIDTH), real)
    assert shapes["camera_bev"] == ((1, 8, HEIGHT, WIDTH), real)


def test_dynamic_number_of_points() -> None:
    build = Build(make_model("Voxelize", "fp32", points="n"), profile=(1, 1000, 300_000))
    assert build.plugins == ["voxelize"]
    assert tuple(build.network.get_output(0).shape) == (-1, 11)
    assert build.engine, build.messages.lines


def test_engine_may_carry_the_plugin_library() -> None:
    graph = make_model("all", "fp16")
    plain, embedding = Build(graph).engine, Build(graph, embed=True).engine
    assert plain is not None
    assert embedding is not None
    library = find_library().read_bytes()
    assert len(embedding) - len(plain) >= len(library)
    assert library[:4096] in embedding
    assert library[:4096] not in plain


@pytest.mark.parametrize(
    ("operator", "change", "message"),
    [
        ("Voxelize", {"range": [0.0, 0, 0]}, "attribute range must be 6 floats"),
        ("Voxelize", {"range": [12.0, -8, -5, -12, 8, 3]}, "range and cell failed"),
        ("Voxelize", {"cell": [1.0]}, "attribute cell must be 2 floats"),
        ("FrustumIndex", {"depths": [1.0] * 897}, "attribute depths must be 1 to 896 floats"),
        ("FrustumIndex", {"stride": 0}, "attribute stride must be one positive integer"),
    ],
)
def test_wrong_attributes_are_named_by_tensorrts_own_logger(
    operator: str, change: dict[str, Any], message: str
) -> None:
    graph = make_model(operator, "fp32")
    attributes = graph.graph.node[0].attribute
    for name, value in change.items():
        kept = [attribute for attribute in attributes if attribute.name != name]
        del attributes[:]
        attributes.extend([*kept, helper.make_attribute(name, value)])
    build = Build(graph)
    assert not build.parsed
    assert any(line.startswith("vexkd: ") and message in line for line in build.messages.lines), build.messages.lines


def test_wrong_ranks_are_refused_with_the_signature() -> None:
    graph = make_model("PillarMax", "fp32")
    graph.graph.input[1].CopyFrom(tensor("cells", TensorProto.INT32, [POINTS, 1]))
    build = Build(graph)
    assert build.engine is None
    assert any("PillarMax takes features (N, C) and cells (N)" in line for line in build.messages.lines)


def test_mixed_precision_is_refused() -> None:
    graph = make_model("BevPool", "fp32")
    graph.graph.input[1].CopyFrom(tensor("context", TensorProto.FLOAT16, [VIEWS, 8, ROWS, COLUMNS]))
    graph.graph.output[0].CopyFrom(tensor("camera_bev", TensorProto.FLOAT16, [1, 8, HEIGHT, WIDTH]))
    assert Build(graph).engine is None
