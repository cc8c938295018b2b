"""``vexkd ablate`` as a user meets it: two rows, two seeds, for real and small; and mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vexkd.ablate import request as requests
from vexkd.ablate.suites import SCALES
from vexkd.cli.app import main
from vexkd.data.synth.generate import SynthConfig, generate

SMALL = (
    "data.sweeps=0 data.workers=0 model.grid.cell=5.12 model.lidar.pillar=2.56 model.camera.image_size=[32,64] "
    "model.encoder.channels=[8,8] model.encoder.out_channels=16 model.head.channels=8 train.repeat=10"
)


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["ablate", "mask", "--data", str(tmp_path)]) == 2
    assert "did you mean 'masks'" in capsys.readouterr().err
    assert (
        run(["ablate", "masks", "--data", str(tmp_path / "no"), "--out", str(tmp_path / "out"), "--scale", "nuscenes"])
        == 2
    )
    told = capsys.readouterr().err
    assert "no is no folder" in told and len(told.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_rows_and_two_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The demo's recipes are the smallest.
    monkeypatch.setattr(requests, "SCALES", tuple(replace(scale, recipes="demo") for scale in SCALES))
    data, out = tmp_path / "data", tmp_path / "study"
    generate(data, SynthConfig(scenes=3, seed=0, keyframes=1, image_size=(96, 160)))
    command = ["ablate", "masks", "--rows", "whole", "--tasks", "detection", "--sensors", "lidar", "--scale", "quick"]
    command += ["--data", str(data), "--out", str(out), "--jobs", "2", "--json"]
    for setting in SMALL.split():
        command += ["--set", setting]
    assert run(command) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    (group,) = results["groups"]
    assert [row["row"] for row in group["rows"]] == ["none", "whole"]
    assert all(len(row["figures"]["NDS"]["values"]) == 2 for row in group["rows"])
    assert group["rows"][1]["kd_ratio"] > 0
    assert (out / "reports" / "masks" / "report.html").is_file()
    assert "[5/5]" in captured.err

    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/metrics.json")}
    assert len(before) == 5
    assert run(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/metrics.json")} == before
    assert json.loads(capsys.readouterr().out)["groups"] == results["groups"]
