"""The gate: a bundle less accurate than its trained model is refused, or written with its loss on record."""

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_bundles import make_run

from vexkd.cli.app import main
from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import MODEL, Accuracy, Metric
from vexkd.evaluation.evaluate import evaluate_detection, evaluate_segmentation
from vexkd.export import export as export_module
from vexkd.export import reference as reference_module
from vexkd.export.export import export_run
from vexkd.export.gate import Gate, admit, limit
from vexkd.export.reference import CACHE, find_reference
from vexkd.plugins.errors import UserError
from vexkd.training.predict import model_predictor
from vexkd.training.run import load_run, save_run
from vexkd.training.sampling import evenly

ALL = Gate(split="all")
LAYERS = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, one of them for validation, of two keyframes."""
    folder = tmp_path_factory.mktemp("gate") / "data"
    generate(folder, SynthConfig(scenes=3, seed=5, keyframes=2, image_size=(32, 48)))
    return folder


def run_on(root: Path, folder: Path, task: str = "segmentation", kind: str = "lidar") -> Path:
    """A tiny untrained run whose data lie at ``root``."""
    config, model = load_run(make_run(folder, kind, task))
    data = DataConfig(root=root, max_points=40_000, sweeps=0, workers=0)
    save_run(folder, config.model_copy(update={"data": data}), model.state_dict())
    return folder


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last layer say that nothing is anywhere, once parity was measured."""
    measured = export_module._measured_parity

    def spoiled(file: Path, *arguments: object) -> object:
        parity = measured(file, *arguments)
        model = onnx.load(file)
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
        for name, value in zip(last.input[1:], (0, -100), strict=True):
            constant = np.full_like(numpy_helper.to_array(weights[name]), value)
            weights[name].CopyFrom(numpy_helper.from_array(constant, name))
        onnx.save(model, file)
        return parity

    monkeypatch.setattr(export_module, "_measured_parity", spoiled)


def manifest_accuracy(bundle: Path) -> Accuracy:
    accuracy = read_bundle(bundle).manifest.accuracy
    assert accuracy is not None
    return accuracy


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_accuracy_is_what_evaluation_says_of_the_trained_model(root: Path, tmp_path: Path, precision: str) -> None:
    run = run_on(root, tmp_path / "run")
    accuracy = manifest_accuracy(export_run(run, tmp_path / "a.vexkd", precision, gate=ALL))
    dataset = NuScenesDataset(DataConfig(root=root, max_points=40_000, sweeps=0), "all", images=False, map_labels=True)
    segment = model_predictor(load_run(run)[1]).segment
    assert segment is not None
    expected = evaluate_segmentation(dataset, segment)["mIoU"]
    assert accuracy.metrics.keys() == {"mIoU"} and accuracy.metrics["mIoU"].reference == expected > 0
    assert abs(accuracy.metrics["mIoU"].bundle - expected) < (1e-5 if precision == "fp32" else 1e-3)
    assert accuracy.metrics["mIoU"].limit == 0.005
    assert (accuracy.split, accuracy.frames, accuracy.available) == ("all", 6, 6)
    assert accuracy.passed and not accuracy.accepted
    assert accuracy.runtime.endswith("native operators") and "CPU" in accuracy.runtime


def test_detection_is_measured_by_map_and_nds(root: Path, tmp_path: Path) -> None:
    run = run_on(root, tmp_path / "run", "detection")
    accuracy = manifest_accuracy(export_run(run, tmp_path / "a.vexkd"))
    dataset = NuScenesDataset(DataConfig(root=root, max_points=40_000, sweeps=0), "val", images=False)
    detect = model_predictor(load_run(run)[1]).detect
    assert detect is not None
    metrics = evaluate_detection(dataset, detect).metrics
    assert {name: metric.reference for name, metric in accuracy.metrics.items()} == {
        name: metrics[name] for name in ("mAP", "NDS")
    }
    assert (accuracy.split, accuracy.frames, accuracy.passed) == ("val", 2, True)


def test_a_spoilt_model_is_refused_and_nothing_is_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_on(root, tmp_path / "run")
    spoil(monkeypatch)
    told = r"^vexkd: the export is refused: mIoU falls from 0\.\d{4} to 0\.\d{4}, by 0\.\d{4} where 0\.0050 is allowed"
    with pytest.raises(UserError, match="export it without --fp16, or write it all the same with --accept"):
        export_run(run, tmp_path / "out" / "a.vexkd", "fp16", gate=ALL)
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run), "--gate-split", "all", "--out", str(tmp_path / "out" / "a.vexkd")])
    told += r" \(6 keyframes of all\); write it all the same with --accept$"
    assert stop.value.code == 2 and re.search(told, capsys.readouterr().err, re.MULTILINE)
    assert not list((tmp_path / "out").iterdir())


def test_an_accepted_loss_is_on_record(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_on(root, tmp_path / "run")
    spoil(monkeypatch)
    out = tmp_path / "a.vexkd"
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run), "--gate-split", "all", "--accept", "--out", str(out)])
    assert stop.value.code == 0
    assert "a loss beyond the limit" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    accuracy = manifest_accuracy(out)
    assert not accuracy.passed and accuracy.accepted
    assert accuracy.metrics["mIoU"].bundle < accuracy.metrics["mIoU"].reference - 0.005
    (out / MODEL).unlink()
    with pytest.raises(UserError, match=r"export it again with: vexkd export run --accept --out"):
        read_bundle(out)


def test_accept_changes_nothing_where_nothing_is_lost(root: Path, tmp_path: Path) -> None:
    run = run_on(root, tmp_path / "run")
    accuracy = manifest_accuracy(export_run(run, tmp_path / "a.vexkd", gate=Gate(accept=True)))
    assert accuracy.passed and not accuracy.accepted


def test_the_reference_is_evaluated_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_on(root, tmp_path / "run")
    config, model = load_run(run)
    evaluated: list[str] = []

    def find(split: str | None = None, count: int = 200) -> dict[str, float]:
        found = find_reference(run, config, model, split, count, None, False, evaluated.append)
        assert found is not None
        return found.metrics

    first = find()
    assert evaluated == [f"accuracy of the trained model: keyframe {number} of 2" for number in (1, 2)]
    assert find() == first and len(evaluated) == 2
    find("all")
    assert len(evaluated) == 8
    assert find() == first and find("all") and len(evaluated) == 8, "each split is kept"
    find("all", 3)
    assert len(evaluated) == 11, "other keyframes"
    (run / CACHE).write_text("{")
    assert find() == first and len(evaluated) == 13, "a damaged file is none"
    kept = json.loads((run / CACHE).read_text())
    (run / CACHE).write_text(
        json.dumps({"val": kept["val"] | {"of": kept["val"]["of"] | {"weights_sha256": "0" * 64}}})
    )
    find()
    assert len(evaluated) == 15, "other weights"
    with monkeypatch.context() as other:
        other.setattr(reference_module, "git_commit", lambda: "another")
        find()
    assert len(evaluated) == 17, "another evaluation"


def test_a_second_precision_and_a_read_only_run_need_no_special_care(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_on(root, tmp_path / "run")
    said: list[str] = []
    export_run(run, tmp_path / "a.vexkd", "fp32", progress=said.append)
    assert any(step.startswith("accuracy of the trained model") for step in said)
    said.clear()
    export_run(run, tmp_path / "b.vexkd", "fp16", progress=said.append)
    assert not any(step.startswith("accuracy of the trained model") for step in said)
    assert "accuracy of the bundle: keyframe 2 of 2" in said
    (run / CACHE).unlink()

    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reference_module, "write_text", refuse)
    export_run(run, tmp_path / "c.vexkd")
    assert not (run / CACHE).exists()


@pytest.fixture
def bare(root: Path, tmp_path: Path) -> Path:
    """The data without one annotation and without one thing on the map, as a test split has neither."""
    bare = tmp_path / "bare"
    shutil.copytree(root, bare)
    (tables,) = bare.glob("v1.0-*")
    for name in ("sample_annotation", "instance"):
        (tables / f"{name}.json").write_text("[]")
    for expansion in (bare / "maps" / "expansion").glob("*.json"):
        content = json.loads(expansion.read_text())
        expansion.write_text(json.dumps(content | {layer: [] for layer in LAYERS}))
    return bare


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_split_without_annotations_is_refused(bare: Path, tmp_path: Path, task: str) -> None:
    run = run_on(bare, tmp_path / "run", task)
    with pytest.raises(UserError, match=r"refused, .*split 'val' of .*bare has no annotations; name .*--gate-split"):
        export_run(run, tmp_path / "a.vexkd")
    assert not (tmp_path / "a.vexkd").exists() and not (run / CACHE).exists()


def test_without_data_accuracy_is_unknown_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(tmp_path / "run", "lidar", "segmentation")
    with caplog.at_level(logging.WARNING):
        bundle = export_run(run, tmp_path / "a.vexkd")
    assert read_bundle(bundle).manifest.accuracy is None
    (record,) = caplog.records
    assert record.getMessage().startswith("accuracy was not measured: ") and "no-data" in record.getMessage()


def test_what_must_be_measured_is_refused_without_data(root: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "lidar", "segmentation")
    with pytest.raises(UserError, match=r"refused, for its accuracy cannot be measured: .*no-data"):
        export_run(run, tmp_path / "a.vexkd", gate=ALL)
    config, model = load_run(run)
    with pytest.raises(UserError, match=r"refused, for its accuracy cannot be measured: .*no-data"):
        find_reference(run, config, model, None, 200, None, True, print)
    with pytest.raises(UserError, match=r"unknown split 'vall'; splits with keyframes in .*val \(2\)"):
        export_run(run_on(root, tmp_path / "sound"), tmp_path / "a.vexkd", gate=Gate(split="vall"))
    with pytest.raises(UserError, match="--gate-frames takes a number of keyframes above 0, got 0"):
        export_run(run, tmp_path / "a.vexkd", gate=Gate(frames=0))


def test_a_bundle_for_other_images_is_not_measured_on_these(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_on(root, tmp_path / "run", kind="camera")
    bundle = export_run(run, tmp_path / "a.vexkd", image_size=(48, 80))
    assert read_bundle(bundle).manifest.accuracy is None
    assert "the bundle takes images of 48x80, those in" in caplog.text and "are images of 32x48" in caplog.text


@pytest.mark.parametrize(
    ("precision", "reference", "expected"),
    [("fp32", 0.6, 0.005), ("fp16", 0.6, 0.005), ("int8", 0.6, 0.012), ("fp8", 0.6, 0.012), ("int8", 0.1, 0.005)],
)
def test_the_limit_is_a_share_of_the_metric_and_never_less_than_chance(
    precision: str, reference: float, expected: float
) -> None:
    assert limit(reference, precision) == pytest.approx(expected)


@pytest.mark.parametrize(("bundle", "holds"), [(0.7, True), (0.5, True), (0.4901, True), (0.4899, False)])
def test_a_gain_is_no_loss(bundle: float, holds: bool) -> None:
    metric = Metric(reference=0.5, bundle=bundle, limit=0.01)
    accuracy = Accuracy(
        split="val", frames=1, available=1, runtime="none", metrics={"mAP": metric}, passed=holds, accepted=False
    )
    if holds:
        assert metric.holds and admit(accuracy, "fp16", accept=False) == accuracy
        return
    with pytest.raises(UserError, match=r"mAP falls from 0\.5000 to 0\.4899, by 0\.0101 where 0\.0100 is allowed"):
        admit(accuracy, "fp16", accept=False)
    assert admit(accuracy, "fp16", accept=True).accepted


def test_keyframes_are_evenly_spread() -> None:
    assert evenly(9, 3) == [0, 4, 8]
    assert evenly(9, 1) == [0]
    assert evenly(9, 9) == evenly(9, 200) == list(range(9))
    assert len(set(evenly(9, 8))) == 8
