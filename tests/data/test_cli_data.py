"""``vexkd data`` as a user types it."""

import json
from pathlib import Path

import pytest

from vexkd.cli import data


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        data.app(list(arguments))
    return int(ended.value.code or 0)


def test_synth_then_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = ["--scenes", "1", "--keyframes", "1", "--image-size", "32x48", "--seed", "1", "--workers", "1"]
    assert _run("synth", str(out), *options) == 0
    assert "1 keyframes in" in capsys.readouterr().out
    assert _run("info", str(out), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["keyframes"] == 1 and found["splits"] == {"train": 1, "train_detect": 1, "all": 1}
    assert "no LiDAR sweeps between keyframes" in found["missing"][0]
    assert _run("info", str(out), "--decode") == 0
    told = capsys.readouterr().out
    assert "construction_vehicle" in told and "no damaged keyframes" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "is no folder"),
        (["synth", "out", "--scenes", "1", "--image-size", "tall"], "--image-size takes"),
        (["synth", ".", "--scenes", "1"], "exists already"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], message: str) -> None:
    from vexkd.plugins.errors import UserError

    with pytest.raises(UserError, match=message):
        data.app(arguments)
