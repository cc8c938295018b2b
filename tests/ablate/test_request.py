"""Mistakes are told before anything is trained, with both sides named."""

import json
import shutil
from pathlib import Path

import pytest
from fake_trainings import DEMO

from vexkd.ablate.plan import Planner, in_order, plan_trials
from vexkd.ablate.request import check_data, make_request
from vexkd.ablate.suites import MAIN
from vexkd.plugins.errors import UserError

DATA, OUT = Path("data"), Path("out")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"suite": "mask"}, "unknown suite 'mask', expected one of main, .*; did you mean 'masks'"),
        ({"scale": "nuscene"}, "did you mean 'nuscenes'"),
        ({"rows": ["gausian"]}, "unknown --rows 'gausian', expected one of none, whole, .*did you mean 'gaussian'"),
        ({"tasks": ["detect"]}, "did you mean 'detection'"),
        ({"sensors": ["radar"]}, "unknown --sensors 'radar', expected one of lidar, camera"),
        ({"seeds": 0}, "--seeds takes a number from 1, got 0"),
        ({"jobs": 0}, "--jobs takes a number from 1, got 0"),
        ({"overrides": ["data.root=x"]}, "use --data"),
        ({"suite": "robustness", "sensors": ["lidar"]}, "rows of robustness are teachers"),
    ],
)
def test_wrong_names_and_numbers(given: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make_request(**({"suite": "masks", "data": DATA, "out": OUT, "scale": "nuscenes"} | given))


def test_nothing_named_means_all_and_the_baseline_is_always_there():
    request = make_request("masks", DATA, OUT, "nuscenes")
    assert (request.tasks, request.sensors) == (("detection", "segmentation"), ("lidar", "camera"))
    assert len(request.rows) == 7
    assert (request.seeds, make_request("masks", DATA, OUT, "quick").seeds) == (1, 2)
    chosen = make_request("masks", DATA, OUT, "nuscenes", rows=["learned"], seeds=4)
    assert [row.name for row in chosen.rows] == ["none", "learned"]
    assert chosen.seeds == 4


def check(root: Path, task: str = "detection", *overrides: str) -> None:
    planner = Planner(DEMO, root, OUT, overrides)
    check_data(in_order(trial.run for trial in plan_trials(planner, MAIN, MAIN.rows, (task,), ("lidar",), 1)))


def test_sound_data_passes(keyframes: Path) -> None:
    check(keyframes)
    check(keyframes, "segmentation", "data.train_scenes=2")


def test_more_scenes_than_there_are(keyframes: Path) -> None:
    with pytest.raises(UserError, match=r"5.*split 'train' has 2 scenes"):
        check(keyframes, "detection", "data.train_scenes=5")


def test_segmentation_without_a_map_expansion(keyframes: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(keyframes, root, ignore=shutil.ignore_patterns("expansion"))
    check(root)
    with pytest.raises(UserError, match=r"needs map labels, and .*root has no maps/expansion/.*--tasks detection"):
        check(root, "segmentation")


def test_a_teacher_without_cameras(keyframes: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(keyframes, root)
    (tables,) = root.glob("v1.0-*")
    content = {name: json.loads((tables / f"{name}.json").read_text()) for name in ("sensor", "calibrated_sensor")}
    lidar = {record["token"] for record in content["sensor"] if record["modality"] == "lidar"}
    mounted = {row["token"] for row in content["calibrated_sensor"] if row["sensor_token"] in lidar}
    records = json.loads((tables / "sample_data.json").read_text())
    records = [record for record in records if record["calibrated_sensor_token"] in mounted]
    (tables / "sample_data.json").write_text(json.dumps(records))
    with pytest.raises(UserError, match=r"teacher.* needs CAM_FRONT_LEFT, .* lacks \(it has LIDAR_TOP\)"):
        check(root)
