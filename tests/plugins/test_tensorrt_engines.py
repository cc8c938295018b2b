"""Engines really built, for a GPU that need not be here, from graphs whose vexkd nodes must become plugin layers."""

import functools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vexkd.engines.tensorrt_flavour import Flavour, Messages, is_installed, load_flavour, load_plugins
from vexkd.plugins.library import find_library

pytestmark = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt_rtx is not installed")

HEIGHT, WIDTH, CELLS = 16, 24, 16 * 24
POINTS, CHANNELS = 100, 11
VIEWS, DEPTHS, ROWS, COLUMNS = 2, 4, 2, 3
FRUSTUM = VIEWS * DEPTHS * ROWS * COLUMNS
IMAGE = (32, 64)
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


def prepare_images(precision: str) -> onnx.NodeProto:
    constants = {"mean": [123.675, 116.28, 103.53], "deviation": [58.395, 57.12, 57.375]}
    size = {"height": IMAGE[0], "width": IMAGE[1]}
    return node("PrepareImages", ["images"], ["prepared"], **size, **constants, dtype=int(TYPES[precision]))


def tensor(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("vexkd", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def make_model(operator: str, precision: str, points: int | str = POINTS) -> onnx.ModelProto:
    """A graph of one operator alone, or of those of both sensors; ``points`` may name a dynamic dimension."""
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
    if operator == "PrepareImages":
        # Declared as vexkd.export.engine_graph declares them.
        images = tensor("images", TensorProto.INT8, [VIEWS, 90, 160, 3])
        return model([prepare_images(precision)], [images], [tensor("prepared", real, [VIEWS, 3, *IMAGE])])
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
        self,
        graph: onnx.ModelProto,
        embed: bool = False,
        profile: tuple[int, int, int] | None = None,
        columns: int = 5,
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
            shapes.set_shape("points", *((size, columns) for size in profile))
            config.add_optimization_profile(shapes)
        built = builder.build_serialized_network(self.network, config)
        self.engine = None if built is None else bytes(built)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("operator", ["Voxelize", "PillarMax", "BevPool", "FrustumIndex", "PrepareImages", "all"])
def test_every_node_becomes_a_plugin_layer_of_an_engine(operator: str, precision: str) -> None:
    graph = make_model(operator, precision)
    build = Build(graph)
    assert build.parsed, build.messages.lines
    assert build.plugins == sorted(node.name for node in graph.graph.node if node.domain == "vexkd")
    assert build.engine, build.messages.lines


def convolve(name: str, given: str, made: str, channels: tuple[int, int]) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    """A 3 x 3 convolution in FP16 and its weights."""
    weights = np.random.default_rng(0).normal(size=(channels[1], channels[0], 3, 3)).astype(np.float16)
    made_node = helper.make_node("Conv", [given, f"{name}_w"], [made], name=name, pads=[1, 1, 1, 1])
    return made_node, numpy_helper.from_array(weights, f"{name}_w")


def layer_lines(graph: onnx.ModelProto) -> list[str]:
    """The layers of an engine in the order they run, as the builder lists them in its log.

    The inspector needs a deserialised engine, which needs a GPU.
    """
    trt = flavour().trt

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            self.lines += message.splitlines()

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(graph.SerializeToString()), log.lines
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    assert builder.build_serialized_network(network, config) is not None, log.lines
    return [line for line in log.lines if line.startswith("Name: ")]


def kinds(lines: list[str]) -> list[str]:
    """LayerType of each layer that computes; kgen is a kernel that TensorRT writes itself, as transpositions are."""
    found = [line.split("LayerType: ")[1].split(",")[0] for line in lines]
    return [kind for kind in found if kind not in ("signal", "wait")]


def test_no_layer_stands_between_pillar_max_and_a_convolution() -> None:
    width, size = 64, (1, 64, 128, 128)
    plugin = node("PillarMax", ["features", "cells"], ["map"], height=128, width=128)
    conv, weights = convolve("conv", "map", "out", (width, width))
    inputs = [tensor("features", TensorProto.FLOAT16, [POINTS, width]), tensor("cells", TensorProto.INT32, [POINTS])]
    graph = model([plugin, conv], inputs, [tensor("out", TensorProto.FLOAT16, list(size))])
    graph.graph.initializer.append(weights)
    # The last is the transposition to the network's own output, which is planar.
    assert kinds(layer_lines(graph)) == ["custom_layer", "correlation", "kgen"]


def test_no_layer_stands_between_bev_pool_and_the_convolutions_before_and_behind_it() -> None:
    features = [VIEWS, 64, 16, 44]
    before, before_weights = convolve("before", "image", "context", (64, 80))
    behind, behind_weights = convolve("behind", "map", "out", (80, 64))
    plugin = node("BevPool", ["depth", "context", "frustum", "starts"], ["map"], height=128, width=128)
    inputs = [
        tensor("image", TensorProto.FLOAT16, features),
        tensor("depth", TensorProto.FLOAT16, [VIEWS, DEPTHS, 16, 44]),
        tensor("frustum", TensorProto.INT32, [1000]),
        tensor("starts", TensorProto.INT32, [128 * 128 + 1]),
    ]
    graph = model([before, plugin, behind], inputs, [tensor("out", TensorProto.FLOAT16, [1, 64, 128, 128])])
    graph.graph.initializer.extend([before_weights, behind_weights])
    assert kinds(layer_lines(graph)) == ["kgen", "correlation", "custom_layer", "correlation", "kgen"]


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


def test_prepared_images_feed_a_convolution_as_they_are() -> None:
    """The type comes from the attribute, and a strongly typed network casts nothing."""
    trt = flavour().trt
    graph = make_model("PrepareImages", "fp16")
    weights = helper.make_tensor("weights", TensorProto.FLOAT16, [8, 3, 3, 3], bytes(8 * 27 * 2), raw=True)
    graph.graph.initializer.append(weights)
    graph.graph.node.append(helper.make_node("Conv", ["prepared", "weights"], ["features"], name="conv"))
    graph.graph.output[0].CopyFrom(tensor("features", TensorProto.FLOAT16, [VIEWS, 8, IMAGE[0] - 2, IMAGE[1] - 2]))
    build = Build(graph)
    assert build.engine, build.messages.lines
    assert [layer.type for layer in build.network][:1] == [trt.LayerType.PLUGIN_V3]
    assert not any(layer.type == trt.LayerType.CAST for layer in build.network)
    first = build.network.get_layer(0)
    assert (first.get_input(0).dtype, first.get_output(0).dtype) == (trt.int8, trt.float16)
    assert tuple(first.get_output(0).shape) == (VIEWS, 3, *IMAGE)


def test_images_that_were_not_declared_int8_are_refused() -> None:
    graph = make_model("PrepareImages", "fp16")
    graph.graph.input[0].CopyFrom(tensor("images", TensorProto.UINT8, [VIEWS, 90, 160, 3]))
    build = Build(graph)
    assert build.engine is None
    assert any("images is UINT8, expected INT8 with the bytes of UINT8" in line for line in build.messages.lines)


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
        ("PrepareImages", {"mean": [1.0]}, "attribute mean must be 3 floats"),
        ("PrepareImages", {"deviation": [1.0, 0.0, 1.0]}, "deviation positive, got 116.28 and 0 of channel 1"),
        ("PrepareImages", {"dtype": 11}, "attribute dtype must be 1 (FLOAT) or 10 (FLOAT16), got 11"),
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


def refusals(build: Build) -> list[str]:
    """What the plugins said, without the lines of TensorRT itself."""
    return [line for line in build.messages.lines if line.startswith("vexkd: ")]


WRONG_SHAPES = {
    "Voxelize": [("points", [POINTS, 4], "points has the shape (100, 4), expected (N, 5)")],
    "PillarMax": [("cells", [POINTS + 1], "cells has the shape (101), expected (100)")],
    "BevPool": [
        ("starts", [7], f"starts has the shape (7), expected ({CELLS + 1})"),
        ("depth", [3, DEPTHS, ROWS, COLUMNS], "context has the shape (2, 8, 2, 3), expected (3, C, 2, 3)"),
        ("frustum", [FRUSTUM, 1], "points has the shape (48, 1), expected (K)"),
    ],
}


@pytest.mark.parametrize(
    ("operator", "name", "shape", "reason"),
    [(operator, *case) for operator, cases in WRONG_SHAPES.items() for case in cases],
)
def test_shapes_that_no_call_could_have_are_refused_before_an_engine_is_built(
    operator: str, name: str, shape: list[int], reason: str
) -> None:
    graph = make_model(operator, "fp32")
    given = next(given for given in graph.graph.input if given.name == name)
    given.CopyFrom(tensor(name, given.type.tensor_type.elem_type, shape))
    build = Build(graph)
    assert build.engine is None
    (line,) = refusals(build)
    assert line.startswith(f"vexkd: {operator} takes ") and reason in line


def test_a_shape_that_only_the_profile_fixes_is_refused() -> None:
    graph = make_model("Voxelize", "fp32", points="n")
    graph.graph.input[0].CopyFrom(tensor("points", TensorProto.FLOAT, ["n", "columns"]))
    build = Build(graph, profile=(1, 1000, 300_000), columns=4)
    assert build.engine is None
    assert any("points has the shape (-1, 4), expected (N, 5)" in line for line in refusals(build))
    assert Build(graph, profile=(1, 1000, 300_000)).engine


@pytest.mark.parametrize(
    ("operator", "name", "kind", "reason"),
    [
        ("PillarMax", "pillar_features", TensorProto.BFLOAT16, "features is BF16, expected FP32 or FP16"),
        ("PillarMax", "cells", TensorProto.INT64, "cells is INT64, expected INT32"),
        ("Voxelize", "points", TensorProto.FLOAT16, "points is FP16, expected FP32"),
        ("Voxelize", "count", TensorProto.INT64, "count is INT64, expected INT32"),
        ("BevPool", "depth", TensorProto.BFLOAT16, "depth is BF16, expected FP32 or FP16"),
        ("BevPool", "context", TensorProto.FLOAT16, "context is FP16, expected FP32 as depth"),
        ("BevPool", "starts", TensorProto.INT64, "starts is INT64, expected INT32"),
    ],
)
def test_types_that_no_kernel_has_are_named_in_one_line(operator: str, name: str, kind: int, reason: str) -> None:
    graph = make_model(operator, "fp32")
    given = next(given for given in graph.graph.input if given.name == name)
    given.type.tensor_type.elem_type = kind
    for output in graph.graph.output:
        output.type.ClearField("tensor_type")
    build = Build(graph)
    assert build.engine is None
    (line,) = refusals(build)
    assert line.startswith(f"vexkd: {operator} takes ") and reason in line


def test_wrong_ranks_are_refused_with_the_signature() -> None:
    graph = make_model("PillarMax", "fp32")
    graph.graph.input[1].CopyFrom(tensor("cells", TensorProto.INT32, [POINTS, 1]))
    build = Build(graph)
    assert build.engine is None
    line = "PillarMax takes features (N, C) and cells (N): cells has the shape (100, 1), expected (100)"
    assert any(line in said for said in refusals(build)), build.messages.lines
