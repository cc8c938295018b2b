"""The deployment commands as a user types them: export, bench, infer, doctor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.detection.data_classes import DetectionBox
from PIL import Image
from tiny_bundles import make_bundle, make_run

from vexkd.cli.app import main
from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import MODEL

IMAGE_SIZE = (32, 48)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "root"
    generate(root, SynthConfig(scenes=1, seed=2, keyframes=2, image_size=IMAGE_SIZE))
    return root


@pytest.fixture(scope="module")
def camera_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camera")
    make_run(folder / "run", "camera", "detection")
    out = folder / "camera.vexkd"
    call("export", folder / "run", "--out", out, "--image-size", "x".join(map(str, IMAGE_SIZE)))
    return out


@pytest.fixture(scope="module")
def map_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    make_run(folder / "run", "lidar", "segmentation")
    call("export", folder / "run", "--fp16")
    return folder / "run" / "run-fp16.vexkd"


def call(*arguments: Any) -> int:
    """Exit code of ``vexkd ARGUMENTS``."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_infer_writes_boxes_in_both_frames_and_pictures(
    camera_bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call("infer", camera_bundle, "--data", data, "--out", out, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "results.json").read_text())
    assert printed == written
    assert written["meta"]["use_camera"] and not written["meta"]["use_lidar"]
    dataset = NuScenesDataset(DataConfig(root=data, sweeps=0), "all", images=False)
    assert list(written["results"]) == dataset.tokens and len(dataset) == 2
    EvalBoxes.deserialize(written["results"], DetectionBox)
    for sample in (dataset[index] for index in range(len(dataset))):
        ego, world = written["ego"][sample.token], written["results"][sample.token]
        assert len(ego) == len(world) > 0
        places = np.array([box["box"][:3] for box in ego]) @ sample.ego_to_global[:3, :3].T
        translations = np.array([box["translation"] for box in world])
        np.testing.assert_allclose(places + sample.ego_to_global[:3, 3], translations, atol=1e-4)
        assert min(box["detection_score"] for box in ego) >= 0.1
        with Image.open(out / "pictures" / f"{sample.token}.png") as picture:
            assert picture.width > picture.height > 100


def test_infer_writes_maps(map_bundle: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("infer", map_bundle, "--data", data, "--out", out, "--samples", 1) == 0
    ((token, entry),) = json.loads((out / "results.json").read_text())["results"].items()
    probability = np.load(out / entry["probability"])
    assert probability.shape == (6, 200, 200) and 0 <= probability.min() < probability.max() <= 1
    covered = (probability >= 0.5).mean(axis=(1, 2))
    np.testing.assert_allclose(list(entry["covered"].values()), covered, atol=1e-3)
    assert (out / "pictures" / f"{token}.png").is_file()


def test_infer_without_pictures_writes_none(map_bundle: Path, data: Path, tmp_path: Path) -> None:
    assert call("infer", map_bundle, "--data", data, "--out", tmp_path, "--samples", 1, "--no-pictures") == 0
    assert not (tmp_path / "pictures").exists()


def test_export_prints_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", "lidar", "segmentation")
    assert call("export", run, "--out", tmp_path / "a.vexkd", "--json") == 0
    assert json.loads(capsys.readouterr().out) == read_bundle(tmp_path / "a.vexkd").manifest.model_dump(mode="json")


def test_bench_compares_and_prints_one_document(
    camera_bundle: Path, map_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--repeats", 2, "--warm-up", 1, "--device", "cpu", "--threads", 1)
    assert call("bench", map_bundle, "--against", camera_bundle, *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [m["bundle"] for m in report["measurements"]] == ["run-fp16", "camera"]
    assert report["measurements"][1]["stages"][0]["stage"] == "frustum index"
    assert report["ratios"][0]["gflops"] > 0 and report["machine"]["cpu"]
    assert call("bench", map_bundle, *options) == 0
    shown = capsys.readouterr().out
    assert "sensors to result" in shown and report["machine"]["cpu"] in shown


def test_doctor_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["sound"] and checks["native library"]["status"] == "ok"
    assert "compiler" in checks["native library"]["detail"]
    assert call("doctor") == 0
    assert "native library" in capsys.readouterr().out


def test_doctor_fails_where_something_essential_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vexkd.engines import doctor
    from vexkd.plugins.errors import UserError

    def broken() -> None:
        raise UserError("libvexkd.so.3 has ABI version 9")

    monkeypatch.setattr(doctor, "kernels", broken)
    assert call("doctor") == 1
    assert "broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "no-run"], "no-run is no run folder"),
        (["export", "{run}", "--target", "gtx"], "unknown target 'gtx'"),
        (["export", "{run}", "--image-size", "900"], "--image-size takes HEIGHTxWIDTH"),
        (["export", "{run}", "--out", "{data}"], "is there and is no bundle"),
        (["bench", "no-bundle"], "no-bundle is no bundle"),
        (["bench", "{bundle}", "--device", "tpu"], "--device takes auto, cpu, cuda, tensorrt, got 'tpu'"),
        (["infer", "{bundle}", "--data", "no-data"], "no-data"),
        (["infer", "{run}", "--data", "{data}"], "is no bundle"),
        (["infer", "{changed}", "--data", "{data}"], r"model.onnx was changed"),
        (["bench", "{changed}"], r"vexkd export runs/by-hand"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", "lidar", "detection")
    bundle = make_bundle(tmp_path / "good.vexkd").path
    changed = make_bundle(tmp_path / "changed.vexkd").path
    with (changed / MODEL).open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    names = {"run": run, "data": data, "bundle": bundle, "changed": changed}
    assert call(*(argument.format(**names) for argument in arguments)) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.err.startswith("vexkd: ")
    assert said.out == ""
