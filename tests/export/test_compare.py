"""Two bundles on the same frames: that they agree, that they do not, and where it begins."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from vexkd.engines.bundle import Bundle, read_bundle, write_manifest
from vexkd.engines.manifest import MODEL
from vexkd.engines.probe import ProbeFrame, probe_frame
from vexkd.export import compare as compare_module
from vexkd.export.compare import compare, tensor_difference
from vexkd.export.inner_tensors import float_tensors, with_outputs_too
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256

ON_CPU = ("cpu", "cpu")


def frame(bundle: Bundle, seed: int = 0) -> ProbeFrame:
    return probe_frame(bundle.manifest.grid, bundle.manifest.camera, bundle.manifest.points, seed)


def changed(path: Path, out: Path, convolution: int, factor: float) -> tuple[Bundle, str]:
    """A bundle whose n-th convolution has other weights, and the name of what that convolution makes."""
    shutil.copytree(path, out)
    model = onnx.load(out / MODEL)
    node = [node for node in model.graph.node if node.op_type == "Conv"][convolution]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array((values * factor).astype(values.dtype), weight.name))
    onnx.save(model, out / MODEL)
    manifest = read_manifest(path)
    write_manifest(out, manifest.model_copy(update={"files": {**manifest.files, MODEL: sha256(out / MODEL)}}))
    return read_bundle(out), node.output[0]


def read_manifest(path: Path):  # type: ignore[no-untyped-def]
    return read_bundle(path).manifest


@pytest.mark.parametrize("kind", ["lidar", "camera"])
def test_one_bundle_on_two_backends_agrees(exported, kind: str) -> None:  # type: ignore[no-untyped-def]
    bundle = read_bundle(exported(kind, "detection", "fp32")[1])
    found = compare(bundle, bundle, [frame(bundle, 1), frame(bundle, 2)], ("cpu", "bodies"), threads=1)
    assert found.agree and found.frames == 2 and found.first is None and found.first_detail == ""
    assert [one.name for one in found.outputs] == ["probability", "codes", "scores"]
    assert found.boxes is not None and found.boxes.count >= 5 and found.boxes.unmatched == 0
    identical = {one.identical for one in found.outputs}
    assert identical == {True} if kind == "lidar" else all(one.max_rel < 1e-5 for one in found.outputs)
    assert "native operators" in found.a and "function bodies" in found.b


def test_fp32_and_fp16_agree_to_the_coarser_tolerance(exported) -> None:  # type: ignore[no-untyped-def]
    one, other = (read_bundle(exported("lidar", "detection", precision)[1]) for precision in ("fp32", "fp16"))
    found = compare(one, other, [frame(one)], ON_CPU, threads=1)
    assert found.agree and found.tolerance == 5e-2
    assert not any(output.identical for output in found.outputs)


@pytest.mark.parametrize("convolution", [0, 2])
def test_the_first_tensor_that_differs_is_named(  # type: ignore[no-untyped-def]
    exported, convolution: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "CHUNK_BYTES", 20_000)
    _, path = exported("lidar", "detection", "fp32")
    bundle = read_bundle(path)
    other, made = changed(path, tmp_path / "b.vexkd", convolution, 1.5)
    found = compare(bundle, other, [frame(bundle, 3)], ON_CPU, threads=1)
    assert not found.agree and "probability differs by" in found.differences[0]
    assert found.first is not None and found.first.name == made and found.first.max_rel > 0.1
    assert found.first_detail == ""


def test_maps_are_compared_value_by_value(exported, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, path = exported("lidar", "segmentation", "fp32")
    bundle = read_bundle(path)
    assert compare(bundle, bundle, [frame(bundle)], ("cpu", "bodies"), threads=1).outputs[0].identical
    other, _ = changed(path, tmp_path / "b.vexkd", -1, 0.9)
    found = compare(bundle, other, [frame(bundle)], ON_CPU, threads=1)
    assert found.boxes is None and "logits differs" in found.differences[0]


def test_without_onnx_outputs_are_compared_and_the_rest_is_said(  # type: ignore[no-untyped-def]
    exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vexkd.export.contestant.has_onnx", lambda: False)
    monkeypatch.setattr(compare_module, "has_onnx", lambda: False)
    _, path = exported("lidar", "detection", "fp32")
    bundle = read_bundle(path)
    assert compare(bundle, bundle, [frame(bundle)], ("cpu", "bodies"), threads=1).agree
    other, _ = changed(path, tmp_path / "b.vexkd", 0, 3.0)
    found = compare(bundle, other, [frame(bundle)], ON_CPU, threads=1)
    assert not found.agree and found.first is None
    assert [one.name for one in found.outputs] == ["scores"]
    assert found.first_detail.endswith("with the package onnx: pip install 'vexkd[train]'")


def test_what_cannot_be_compared_is_refused(exported) -> None:  # type: ignore[no-untyped-def]
    boxes, maps = (read_bundle(exported("lidar", task, "fp32")[1]) for task in ("detection", "segmentation"))
    with pytest.raises(UserError, match="answer different questions: task detection and segmentation"):
        compare(boxes, maps, [frame(boxes)], ON_CPU)
    with pytest.raises(UserError, match="there is no frame to compare on"):
        compare(boxes, boxes, [], ON_CPU)
    with pytest.raises(UserError, match="onnxruntime-gpu"):
        compare(boxes, boxes, [frame(boxes)], ("cpu", "cuda"))


def test_a_difference_is_infinite_where_only_one_side_is_a_number() -> None:
    a, b = np.array([1, 2, np.nan], np.float32), np.array([1, 2, np.nan], np.float32)
    same = tensor_difference("x", a, b)
    assert same.identical and same.max_abs == 0
    b[0] = np.nan
    assert tensor_difference("x", a, b).max_abs == np.inf
    close = tensor_difference("x", np.float32([1, -4]), np.float32([1, -4.5]))
    assert (close.max_abs, close.max_rel, close.identical) == (0.5, 0.125, False)


def test_inner_tensors_become_outputs(exported) -> None:  # type: ignore[no-untyped-def]
    model = exported("lidar", "detection", "fp16")[1] / MODEL
    shapes = float_tensors(model)
    names = list(shapes)
    assert shapes["probability"][0] == 1 and names.index("probability") > names.index(names[0])
    exposed = onnx.load_from_string(with_outputs_too(model, ["probability", "scores", "nothing"]))
    assert [output.name for output in exposed.graph.output] == ["boxes", "scores", "labels", "probability"]
    onnx.checker.check_model(exposed)
