"""``vexkd train`` and ``vexkd eval`` as a user meets them: on one real keyframe, and with mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_runs import recipe

from vexkd.cli.app import main
from vexkd.models.perception import Perception
from vexkd.training.run import save_run

CONFIGS = Path(__file__).parents[2] / "configs"


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that must end with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    return captured.err.strip()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    config = recipe("lidar")
    save_run(tmp_path / "run", config, Perception(config.model, config.task).state_dict())
    return tmp_path / "run"


def test_a_wrong_key_names_the_nearest(capsys, tmp_path):
    recipe_file = str(CONFIGS / "one-frame" / "lidar.yaml")
    said = mistake(capsys, "train", recipe_file, "--set", "train.epoch=3", "--out", str(tmp_path / "run"))
    assert "train.epoch" in said and "did you mean epochs" in said
    assert not (tmp_path / "run").exists()


def test_a_wrong_recipe_or_data_root_is_named(capsys, tmp_path):
    assert "nowhere.yaml" in mistake(capsys, "train", str(tmp_path / "nowhere.yaml"))
    missing = tmp_path / "no-data"
    recipe_file = str(CONFIGS / "one-frame" / "lidar.yaml")
    said = mistake(capsys, "train", recipe_file, "--set", f"data.root={missing}", "--out", str(tmp_path / "run"))
    assert str(missing) in said
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_taken_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    said = mistake(capsys, "train", str(CONFIGS / "one-frame" / "lidar.yaml"), "--out", str(tmp_path))
    assert "not empty" in said


def test_a_run_that_is_none_is_refused(capsys, tmp_path):
    assert "no run folder" in mistake(capsys, "eval", str(tmp_path / "nothing"))
    assert "config.yaml" in mistake(capsys, "eval", str(tmp_path))


def test_a_damaged_checkpoint_is_named(capsys, run_folder):
    weights = run_folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:100])
    assert "model.safetensors is damaged" in mistake(capsys, "eval", str(run_folder))
    weights.write_bytes(b"\xff" * 8 + content[8:])
    assert "model.safetensors is damaged" in mistake(capsys, "eval", str(run_folder))
    weights.unlink()
    assert "holds no model.safetensors" in mistake(capsys, "eval", str(run_folder))


def test_weights_of_another_model_are_refused_with_their_names(capsys, run_folder):
    config = recipe("lidar")
    weights = Perception(config.model, config.task).state_dict()
    weights["head.surplus"] = torch.zeros(1)
    weights["lidar.points.linear.weight"] = torch.zeros(2, 2)
    del weights["head.shared.0.weight"]
    save_run(run_folder, config, weights)
    said = mistake(capsys, "eval", str(run_folder))
    assert "1 missing: head.shared.0.weight" in said
    assert "1 unexpected: head.surplus" in said
    assert "lidar.points.linear.weight is [2, 2], expected [8, 11]" in said


def test_a_damaged_config_is_named(capsys, run_folder):
    (run_folder / "config.yaml").write_text("task: [detection")
    assert "config.yaml is not valid YAML" in mistake(capsys, "eval", str(run_folder))


def test_a_wrong_split_and_a_wrong_radius_are_told(capsys, run_folder, real_data):
    said = mistake(capsys, "eval", str(run_folder), "--data", str(real_data), "--split", "weekend")
    assert "unknown split 'weekend'" in said
    said = mistake(capsys, "eval", str(run_folder), "--data", str(real_data), "--split", "all", "--match", "0")
    assert "above 0" in said


def test_two_processes_share_the_work(real_data, tmp_path):
    """Lightning's launcher starts the command again for each further process."""
    settings = f"data.root={real_data} train.devices=2 train.epochs=1 train.repeat=4 model.grid.cell=3.2 "
    settings += "model.lidar.pillar=3.2"
    options = [part for setting in settings.split() for part in ("--set", setting)]
    command = [sys.executable, "-m", "vexkd", "train", str(CONFIGS / "one-frame" / "lidar.yaml"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")], cwd=CONFIGS.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]["mAP"] >= 0
