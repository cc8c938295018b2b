"""What is read of a built engine, and that an engine which is not what the graph says is refused."""

from collections import Counter
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import Tensor
from vexkd.engines.tensorrt_flavour import Messages, is_installed, load_flavour
from vexkd.export import engine_build
from vexkd.export.engine_graph import engine_graph
from vexkd.export.engine_layers import Layer, count_layers, layers_of_log, parse_layers, precisions_of
from vexkd.export.graph_types import convolution_types, count_nodes
from vexkd.export.read_back import engine_problems, network_problems, tensor_problems
from vexkd.plugins.errors import UserError

NEEDS_RTX = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")

LISTED = """Layers:
Name: wait_0, LayerType: wait, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 2, Metadata:\x20
Name: __myl_Cast_0, LayerType: kgen, Inputs: [ { Name: images, Dimensions: [1,4,8,8], Strides: [256,64,8,1], Datatype: \
UInt8, Format: (Linear) Row major linear format }], Constants: [], Outputs: [ { Name: a, Dimensions: [1,4,8,8], \
Datatype: Half, Format: (NHWC) Channel major format }], TacticName: __myl_Cast_0xea, StreamId: 0, Metadata: \
[ONNX Layer: node_cast][ONNX Layer: node_conv2d]
Name: node_conv2d_myl0_4, LayerType: correlation, Inputs: [ { Name: a, Datatype: Half }], Constants: [ { Name: w, \
Datatype: Half }, { Name: alpha, Datatype: Float }], Outputs: [ { Name: b, Datatype: Half }], TacticName: __stub, \
StreamId: 0, Metadata: [ONNX Layer: node_conv2d][ONNX Layer: node_relu]
Name: pool_0, LayerType: custom_layer, Inputs: [ { Name: b, Datatype: Half }, { Name: starts, Datatype: Int32 }], \
Constants: [], Outputs: [ { Name: bev, Datatype: Half }], TacticName: , StreamId: 0, Metadata: [ONNX Layer: node_pool]
"""


def test_layers_are_read_from_the_builders_list() -> None:
    layers = layers_of_log(["Total Activation Memory: 1", LISTED])
    assert [(layer.name, layer.kind, layer.reads, layer.writes) for layer in layers] == [
        ("__myl_Cast_0", "kgen", ("uint8",), ("fp16",)),
        ("node_conv2d_myl0_4", "correlation", ("fp16",), ("fp16",)),
        ("pool_0", "custom_layer", ("fp16", "int32"), ("fp16",)),
    ]
    assert layers[1].nodes == {"node_conv2d", "node_relu"}
    assert count_layers(layers) == {"fp16": {"correlation": 1, "custom_layer": 1}, "uint8": {"kgen": 1}}
    assert precisions_of("node_conv2d", layers) == {"fp16"}, "what prepares a convolution does not compute it"
    assert precisions_of("node_cast", layers) == {"uint8"}
    assert precisions_of("elsewhere", layers) == set()
    assert layers_of_log(["nothing is listed"]) == []


def graph(kind: int = TensorProto.FLOAT16, plugins: tuple[str, ...] = ("node_pool",)) -> onnx.GraphProto:
    """A cast, a convolution and nodes of ours, with the names that stand in the list."""
    nodes = [
        helper.make_node("Cast", ["images"], ["a"], name="node_cast", to=kind),
        helper.make_node("Conv", ["a", "w"], ["b"], name="node_conv2d"),
        *(helper.make_node("BevPool", ["b", "b"], [name], name=name, domain="vexkd") for name in plugins),
    ]
    values = [helper.make_tensor_value_info(name, kind, [1, 4, 8, 8]) for name in ("a", "b")]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [1, 4, 8, 8])
    return helper.make_graph(nodes, "g", [images], [], [], value_info=values)


def test_nodes_are_counted_by_type_and_quantised_convolutions_may_be_integers() -> None:
    assert count_nodes(graph()) == {"fp16": {"BevPool": 1, "Conv": 1}, "uint8": {"Cast": 1}}
    assert convolution_types(graph()) == {"node_conv2d": {"fp16"}}
    quantised = graph(TensorProto.FLOAT)
    quantised.value_info.append(helper.make_tensor_value_info("q", TensorProto.INT8, [1, 4, 8, 8]))
    quantised.node[0].CopyFrom(helper.make_node("DequantizeLinear", ["q", "scale"], ["a"]))
    assert convolution_types(quantised) == {"node_conv2d": {"fp32", "int8"}}


def test_an_engine_that_is_what_the_graph_says_has_no_problems() -> None:
    assert engine_problems(parse_layers(LISTED), graph()) == []
    assert engine_problems([], graph()) == [], "where nothing is listed nothing is judged"


def test_a_silent_fp32_convolution_is_a_problem() -> None:
    layers = parse_layers(LISTED.replace("{ Name: a, Datatype: Half }", "{ Name: a, Datatype: Float }"))
    (problem,) = engine_problems(layers, graph())
    assert problem == (
        "1 of 1 convolutions are of another type than in the graph, first node_conv2d: fp32 instead of fp16"
    )
    in_integers = parse_layers(LISTED.replace("{ Name: a, Datatype: Half }", "{ Name: a, Datatype: Int8 }"))
    assert "int8 instead of fp16" in engine_problems(in_integers, graph())[0]
    assert "fp16 instead of fp32" in engine_problems(parse_layers(LISTED), graph(TensorProto.FLOAT))[0]


def test_a_plugin_that_became_something_else_is_a_problem() -> None:
    found = engine_problems(parse_layers(LISTED), graph(plugins=("node_pool", "node_pool_2")))
    assert found == ["the engine has no plugin layer for BevPool (node_pool_2)"]
    fallen = parse_layers(LISTED.replace("custom_layer", "kgen"))
    assert engine_problems(fallen, graph()) == ["the engine has no plugin layer for BevPool (node_pool)"]


def test_other_inputs_and_outputs_are_a_problem() -> None:
    tensors = (Tensor(name="points", shape=(8, 5), dtype="float32", unit="m"),)
    assert tensor_problems([("points", "float32", (8, 5))], tensors) == []
    assert tensor_problems([("points", "float16", (8, 5)), ("more", "int32", ())], tensors) == [
        "has more int32 [], which the manifest does not",
        "has points float16 [8, 5], which the manifest does not",
        "lacks points float32 [8, 5] of the manifest",
    ]


@NEEDS_RTX
@pytest.mark.parametrize(("kind", "precision"), [("lidar", "fp32"), ("camera", "fp16"), ("mgfm", "fp16")])
def test_the_manifest_says_what_the_engine_is(exported, kind, precision) -> None:  # type: ignore[no-untyped-def]
    _, path = exported(kind, "detection", precision)
    bundle = read_bundle(path)
    (engine,) = bundle.manifest.engines
    plugins = sum(kinds.get("custom_layer", 0) for kinds in engine.layers.values())
    assert plugins == engine.plugin_layers == {"lidar": 2, "camera": 3, "mgfm": 5}[kind]
    assert engine.size == (path / engine.file).stat().st_size
    assert engine.activation_bytes and engine.weight_bytes
    convolutions = {kind: kinds["correlation"] for kind, kinds in engine.layers.items() if "correlation" in kinds}
    assert set(convolutions) == {precision}
    graph = onnx.load(bundle.model).graph
    total: Counter[str] = Counter()
    for kinds in bundle.manifest.nodes.values():
        total.update(kinds)
    assert total == Counter(node.op_type for node in graph.node)
    assert set(bundle.manifest.nodes[precision]) >= {"Conv"}


@NEEDS_RTX
def test_a_network_is_compared_before_it_is_built(exported) -> None:  # type: ignore[no-untyped-def]
    bundle = read_bundle(exported("camera", "detection", "fp16")[1])
    flavour = load_flavour("tensorrt_rtx")
    messages = Messages(flavour)
    network = flavour.trt.Builder(messages.logger).create_network(0)
    parser = flavour.trt.OnnxParser(network, messages.logger)
    assert parser.parse(engine_graph(bundle.model))
    model, tensors = onnx.load(bundle.model).graph, (*bundle.manifest.inputs, *bundle.manifest.outputs)
    assert network_problems(network, flavour.trt, model, tensors) == []
    assert "lacks scores" in " ".join(
        network_problems(network, flavour.trt, model, [t.model_copy(update={"shape": (7,)}) for t in tensors])
    )
    for value in model.value_info:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    (problem,) = network_problems(network, flavour.trt, model, tensors)
    assert "convolutions are of another type" in problem and "fp16 instead of fp32" in problem
    model.node.append(helper.make_node("BevPool", [], [], domain="vexkd"))
    assert any(
        "4 nodes of ours" in one and "made 3 of them" in one
        for one in network_problems(network, flavour.trt, model, tensors)
    )


@NEEDS_RTX
def test_an_engine_that_is_something_else_is_refused_with_its_log(  # type: ignore[no-untyped-def]
    exported, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vexkd.export.export import export_run

    def fallen(messages: Any) -> list[Layer]:
        return [layer._replace(kind="kgen") for layer in layers_of_log(messages)]

    run, _ = exported("lidar", "segmentation", "fp32")
    monkeypatch.setattr(engine_build, "layers_of_log", fallen)
    with pytest.raises(UserError, match=r"makes another engine for rtx4090 than the graph says: .*no plugin layer for"):
        export_run(run, tmp_path / "a.vexkd", targets=["rtx4090"], cpu_only=True)
    (log,) = tmp_path.iterdir()
    assert log.name == "a.vexkd.rtx4090.log" and "Engine generation completed" in log.read_text()
