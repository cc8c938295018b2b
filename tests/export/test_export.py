"""Tiny models exported for real: ONNX Runtime agrees with PyTorch, and engines hold our plugins."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from tiny_bundles import CAPACITY, make_run
from tiny_models import RAW_SIZE

from vexkd.data.sample import Sample
from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import MODEL, PLUGIN_LIBRARY
from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.engines.pipeline import Pipeline
from vexkd.engines.probe import probe_frame
from vexkd.engines.tensorrt_flavour import is_installed
from vexkd.export import engine_build
from vexkd.export import export as export_module
from vexkd.export.export import export_run
from vexkd.export.operators import PLUGIN_ATTRIBUTES
from vexkd.export.parity import Tolerance
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256
from vexkd.plugins.library import find_library
from vexkd.training.predict import predict_boxes, predict_map
from vexkd.training.run import load_run

LIDAR_NODES = {"Voxelize": 1, "PillarMax": 1}
CAMERA_NODES = {"FrustumIndex": 1, "PrepareImages": 1, "BevPool": 1}
NODES = {
    "lidar": LIDAR_NODES,
    "camera": CAMERA_NODES,
    "mgfm": LIDAR_NODES | CAMERA_NODES,
    "conv": LIDAR_NODES | CAMERA_NODES,
}
CASES = [
    ("lidar", "detection", "fp32"),
    ("lidar", "detection", "fp16"),
    ("camera", "detection", "fp32"),
    ("camera", "detection", "fp16"),
    ("mgfm", "detection", "fp32"),
    ("mgfm", "detection", "fp16"),
    ("lidar", "segmentation", "fp32"),
    ("camera", "segmentation", "fp16"),
    ("conv", "segmentation", "fp32"),
]
NEEDS_RTX = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


@pytest.mark.parametrize(("kind", "task", "precision"), CASES)
def test_every_model_exports_within_parity(exported, kind, task, precision) -> None:  # type: ignore[no-untyped-def]
    _, path = exported(kind, task, precision)
    manifest = read_bundle(path).manifest
    assert (manifest.task, manifest.precision) == (task, precision)
    assert manifest.sensors == {"lidar": ("lidar",), "camera": ("camera",)}.get(kind, ("camera", "lidar"))
    relative = 1e-5 if precision == "fp32" else 2e-2
    assert all(0 <= value.max_rel < relative for value in manifest.parity.outputs.values())
    if precision == "fp16":
        assert all(value.max_rel > 0 for value in manifest.parity.outputs.values())
    boxes = manifest.parity.boxes
    assert (boxes is not None) == (task == "detection")
    if boxes is not None:
        assert boxes.count >= 5
        assert boxes.max_centre < (1e-4 if precision == "fp32" else 0.05)
        assert manifest.selection is not None
        assert [entry.group for entry in manifest.selection.classes] == [0, 1, 1, 2, 2, 3, 4, 4, 5, 5]
    assert manifest.cost.gflops > 0
    assert manifest.files.keys() >= {MODEL}


@pytest.mark.parametrize(("kind", "task", "precision"), CASES)
def test_the_deployed_file_runs_on_native_operators(exported, kind, task, precision, model_as_run: Path) -> None:  # type: ignore[no-untyped-def]
    bundle = read_bundle(exported(kind, task, precision)[1])
    assert bundle.manifest.parity.runtime.endswith("native operators")
    OnnxRuntime(bundle.model, "cpu", threads=1)
    ran = Counter(node.op_type for node in onnx.load(model_as_run).graph.node if node.domain == "vexkd")
    assert ran == NODES[kind]
    OnnxRuntime(bundle.model, "cpu", threads=1, operators="bodies")
    assert not any(node.domain == "vexkd" for node in onnx.load(model_as_run).graph.node)


@pytest.mark.parametrize(("kind", "task", "precision"), CASES)
def test_every_operator_is_a_node_with_attributes_and_body(exported, kind, task, precision) -> None:  # type: ignore[no-untyped-def]
    model = onnx.load(exported(kind, task, precision)[1] / MODEL)
    ours = [node for node in model.graph.node if node.domain == "vexkd"]
    assert Counter(node.op_type for node in ours) == NODES[kind]
    for node in ours:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert {name: given[name].decode() for name in PLUGIN_ATTRIBUTES} == PLUGIN_ATTRIBUTES
    assert {body.name for body in model.functions} == set(NODES[kind])
    assert {node.domain for node in model.graph.node} == {"", "vexkd"}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert str(Path.home()) not in str(model) and "stack_trace" not in str(model)


@NEEDS_RTX
@pytest.mark.parametrize(("kind", "task", "precision"), CASES)
def test_engines_hold_our_plugins(exported, kind, task, precision) -> None:  # type: ignore[no-untyped-def]
    _, path = exported(kind, task, precision)
    manifest = read_bundle(path).manifest
    (engine,) = manifest.engines
    assert engine.plugin_layers == sum(NODES[kind].values())
    assert (engine.target, engine.compute_capability, engine.flavour) == ("rtx4090", "8.9", "tensorrt_rtx")
    assert engine.plugin_library_sha256 == manifest.files[PLUGIN_LIBRARY] == sha256(find_library())
    assert (path / engine.file).stat().st_size > 10_000


def sample(path: Path, seed: int) -> Sample:
    """A keyframe the bundle was not exported on, with fewer points than its capacity."""
    manifest = read_bundle(path).manifest
    frame = probe_frame(manifest.grid, manifest.camera, manifest.points, seed)
    return Sample(
        token="made-up",
        timestamp=0,
        points=frame.points[: CAPACITY - 100],
        images=frame.images,
        intrinsics=frame.intrinsics,
        camera_to_ego=frame.camera_to_ego,
        ego_to_global=np.eye(4),
        boxes=np.zeros((0, 9), np.float32),
        labels=np.zeros(0, np.int64),
        num_points=np.zeros(0, np.int64),
        map_labels=None,
    )


@pytest.mark.parametrize("kind", ["lidar", "camera", "mgfm"])
def test_a_bundle_gives_the_boxes_of_the_run(exported, kind) -> None:  # type: ignore[no-untyped-def]
    run, path = exported(kind, "detection", "fp32")
    keyframe = sample(path, seed=7)
    expected = predict_boxes(load_run(run)[1], keyframe, score_threshold=0.1)
    found = Pipeline(read_bundle(path), "cpu")(keyframe).boxes
    assert found is not None and len(found.boxes) == len(expected.boxes) >= 5
    assert (np.diff(found.scores) <= 0).all()
    # Scores may differ by no more than rounding does, so boxes may have changed places.
    distance = np.abs(found.boxes[:, None] - expected.boxes[None]).max(axis=-1)
    distance[found.labels[:, None] != expected.labels[None]] = np.inf
    partner = distance.argmin(axis=1)
    assert len(np.unique(partner)) == len(partner)
    np.testing.assert_allclose(found.boxes, expected.boxes[partner], atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores[partner], atol=1e-5)
    np.testing.assert_array_equal(found.labels, expected.labels[partner])


def test_a_bundle_gives_the_map_of_the_run(exported) -> None:  # type: ignore[no-untyped-def]
    run, path = exported("conv", "segmentation", "fp32")
    keyframe = sample(path, seed=7)
    expected = predict_map(load_run(run)[1], keyframe)
    found = Pipeline(read_bundle(path), "cpu")(keyframe).logits
    assert found is not None and found.shape == (6, 200, 200)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def dtypes(model: onnx.ModelProto, op: str) -> set[int]:
    """Element types of the first inputs of all nodes of an operator."""
    values = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.input)}
    values |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == op]
    # Nearest-neighbour enlargement moves values and computes none.
    computing = [node for node in nodes if not any(a.name == "mode" and a.s == b"nearest" for a in node.attribute)]
    assert computing, f"the model has no {op}"
    return {values[node.input[0]] for node in computing}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nothing_but_prepare_images_reads_the_cameras_bytes(exported, precision) -> None:  # type: ignore[no-untyped-def]
    model = onnx.load(exported("camera", "detection", precision)[1] / MODEL)
    (prepare,) = (node for node in model.graph.node if "images" in node.input)
    assert prepare.op_type == "PrepareImages"
    (dtype,) = (attribute.i for attribute in prepare.attribute if attribute.name == "dtype")
    assert dtype == {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}[precision]
    # In that type it goes to the first convolution as it is.
    assert {node.op_type for node in model.graph.node if prepare.output[0] in node.input} == {"Conv"}


def test_fp16_is_where_it_is_safe_and_nowhere_else(exported) -> None:  # type: ignore[no-untyped-def]
    model = onnx.load(exported("mgfm", "detection", "fp16")[1] / MODEL)
    for op in ("Conv", "PillarMax", "BevPool"):
        assert dtypes(model, op) == {TensorProto.FLOAT16}, op
    for op in ("Voxelize", "Softmax", "LayerNormalization", "GridSample", "TopK", "Sigmoid", "Exp"):
        assert dtypes(model, op) == {TensorProto.FLOAT}, op
    assert {output.type.tensor_type.elem_type for output in model.graph.output} == {
        TensorProto.FLOAT,
        TensorProto.INT32,
    }
    sizes = {precision: exported("mgfm", "detection", precision)[1] / MODEL for precision in ("fp32", "fp16")}
    assert sizes["fp16"].stat().st_size < sizes["fp32"].stat().st_size


def test_exporting_twice_gives_the_same_bytes(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, path = exported("lidar", "detection", "fp16")
    again = export_run(run, tmp_path / "again.vexkd", "fp16")
    assert (again / MODEL).read_bytes() == (path / MODEL).read_bytes()
    assert read_bundle(again).manifest.engines == ()


def test_a_failed_parity_refuses_and_leaves_nothing(  # type: ignore[no-untyped-def]
    exported, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = exported("lidar", "segmentation", "fp32")
    impossible = {"fp32": Tolerance(relative=-1.0, centre=0.0)}
    monkeypatch.setattr(export_module, "TOLERANCES", impossible)
    out = tmp_path / "refused.vexkd"
    with pytest.raises(UserError, match=r"export is refused: ONNX Runtime .* logits differs"):
        export_run(run, out)
    assert list(tmp_path.iterdir()) == []
    # A bundle that was there stays as it was.
    monkeypatch.undo()
    export_run(run, out)
    monkeypatch.setattr(export_module, "TOLERANCES", impossible)
    with pytest.raises(UserError, match="export is refused"):
        export_run(run, out)
    assert read_bundle(out).name == "refused"
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_no_bundle_is_not_overwritten(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, _ = exported("lidar", "segmentation", "fp32")
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="is there and is no bundle"):
        export_run(run, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_unknown_and_impossible_targets_are_refused(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, _ = exported("lidar", "segmentation", "fp32")
    with pytest.raises(UserError, match=r"unknown target 'gtx1080'; known are: rtx2080ti, a100, rtx3090, .*8\.9"):
        export_run(run, tmp_path / "a.vexkd", targets=["gtx1080"])
    assert not list(tmp_path.iterdir())


@NEEDS_RTX
@pytest.mark.parametrize(("held", "words"), [((), "without CUDA"), (("9.0",), "for 9.0 only")])
def test_an_engine_that_could_never_run_is_refused_unless_it_is_meant(
    held: tuple[str, ...], words: str, exported, tmp_path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    run, _ = exported("lidar", "segmentation", "fp32")
    monkeypatch.setattr(engine_build, "cuda_architectures", lambda library: held)
    with pytest.raises(UserError, match=rf"built {words}.*rtx4090 \(compute capability 8\.9\).*CUDA=ON.*--cpu-only"):
        export_run(run, tmp_path / "a.vexkd", targets=["rtx4090"])
    assert not list(tmp_path.iterdir())
    bundle = read_bundle(export_run(run, tmp_path / "a.vexkd", targets=["rtx4090"], cpu_only=True))
    assert bundle.manifest.engines[0].target == "rtx4090"
    assert not bundle.manifest.engines[0].gpu_code


@NEEDS_RTX
def test_the_rtx_builder_says_which_gpus_it_knows(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, _ = exported("lidar", "segmentation", "fp32")
    with pytest.raises(UserError, match=r"cannot build for h100 \(compute capability 9\.0\), it knows .*8\.9"):
        export_run(run, tmp_path / "a.vexkd", targets=["h100"])


def test_a_camera_without_data_needs_its_image_size(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, _ = exported("camera", "detection", "fp32")
    with pytest.raises(UserError, match="give --image-size 900x1600"):
        export_run(run, tmp_path / "a.vexkd")


def test_weights_too_large_for_fp16_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run = make_run(tmp_path / "run", "lidar", "segmentation")
    config, model = load_run(run)
    with torch.no_grad():
        model.head.layers[-1].weight[0] = 1e6
    from vexkd.training.run import save_run

    save_run(run, config, model.state_dict())
    with pytest.raises(UserError, match=r"head\.layers\.2\.weight does not fit FP16.*without --fp16"):
        export_run(run, tmp_path / "a.vexkd", "fp16", image_size=RAW_SIZE)
