"""The commands about bundles as a user types them: inspect, verify, compare, and engines added by export."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_bundles import make_bundle, make_run

from vexkd.cli.app import main
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import MODEL
from vexkd.engines.tensorrt_flavour import is_installed

NEEDS_RTX = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


def call(*arguments: Any) -> int:
    """Exit code of ``vexkd ARGUMENTS``."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two LiDAR detectors of the same kind with other weights."""
    folder = tmp_path_factory.mktemp("bundles")
    for seed, name in enumerate("ab"):
        make_run(folder / name, "lidar", "detection", seed)
        assert call("export", folder / name, "--out", folder / f"{name}.vexkd") == 0
    return folder / "a.vexkd", folder / "b.vexkd"


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "by-hand.vexkd").path


def test_inspect_says_what_a_bundle_is(bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert call("inspect", bundles[0], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "a" and found["engines"] == []
    assert found["manifest"] == read_bundle(bundles[0]).manifest.model_dump(mode="json")
    assert found["files"] == {name: os.path.getsize(bundles[0] / name) for name in ("manifest.json", MODEL)}
    assert call("inspect", bundles[0]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "detection, lidar, fp32",
        "8 x 16 cells of 1.6 m",
        "GFLOPs",
        "parity probability",
        "--add-target GPU",
    ):
        assert words in shown
    assert shown.count("Conv") == 1


def test_verify_prints_every_check(bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", bundles[0], "--threads", 1) == 0
    assert "operators agree" in capsys.readouterr().out
    assert call("verify", bundles[0], "--threads", 1, "--json") == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert {step["status"] for step in steps} == {"ok", "skipped"} and steps[0]["name"] == "files"


def test_verify_fails_with_the_reason(by_hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (by_hand / MODEL).write_bytes(b"changed")
    assert call("verify", by_hand, "--json") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["steps"][0]["status"] == "failed"
    assert said.err.startswith("vexkd: files: ") and "model.onnx was changed" in said.err and said.err.count("\n") == 1


def test_compare_agrees_with_itself_and_not_with_other_weights(
    bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert call("compare", bundles[0], "--threads", 1, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differences"] == [] and "function bodies" in found["b"]
    assert call("compare", *bundles, "--threads", 1) == 1
    shown = capsys.readouterr().out
    assert "they differ" in shown and "first in the graph: " in shown and "a made-up frame of seed 0" in shown


def test_compare_takes_keyframes(
    bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    generate(root, SynthConfig(scenes=1, seed=2, keyframes=2, image_size=(32, 48)))
    capsys.readouterr()
    assert call("compare", bundles[0], "--data", root, "--threads", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2


@NEEDS_RTX
def test_an_engine_is_added_to_a_bundle(
    bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.vexkd"
    shutil.copytree(bundles[0], path)
    capsys.readouterr()
    assert call("export", path, "--add-target", "rtx3090", "--target", "8.9", "--cpu-only", "--json") == 0
    assert [engine["target"] for engine in json.loads(capsys.readouterr().out)["engines"]] == ["rtx3090", "sm89"]
    assert call("verify", path, "--threads", 1) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "{bundle}"], "is a bundle, to which engines are added: give --add-target GPU"),
        (["export", "{bundle}", "--add-target", "rtx4090", "--fp16"], "and no other option"),
        (["export", "{bundle}", "--add-target", "gtx"], "unknown target 'gtx'; known are: rtx2080ti"),
        (["inspect", "no-bundle"], "no-bundle is no bundle"),
        (["compare", "{bundle}", "--device", "tpu"], "--device takes cpu, bodies, cuda, tensorrt, got 'tpu'"),
        (["compare", "{bundle}", "no-bundle"], "no-bundle is no bundle"),
        (["compare", "{bundle}", "--data", "no-data"], "no-data"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, by_hand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*(argument.format(bundle=by_hand) for argument in arguments)) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
