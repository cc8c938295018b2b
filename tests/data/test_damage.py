"""Damaged input is named by file and reason, stops a run or is skipped, as configured."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vexkd.config import DataConfig
from vexkd.data.damage import DamagedSample, read_image, rigid
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.info import examine
from vexkd.plugins.errors import UserError

TABLES = "v1.0-trainval"


@pytest.fixture
def root(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "broken"))


def _first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def _last(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[-1]


def _edit(root: Path, table: str, change: Callable[[dict[str, object]], None]) -> Path:
    """Change the second keyframe's (or the last) record of a table."""
    path = root / TABLES / f"{table}.json"
    records = json.loads(path.read_text())
    change(records[-1])
    path.write_text(json.dumps(records))
    return path


def _truncate_points(root: Path) -> str:
    path = _last(root, "samples/LIDAR_TOP/*")
    path.write_bytes(path.read_bytes()[:-7])
    return rf"{path.name}: truncated, \d+ bytes are no multiple of 20"


def _empty_points(root: Path) -> str:
    path = _last(root, "samples/LIDAR_TOP/*")
    path.write_bytes(b"")
    return f"{path.name}: the file is empty"


def _lose_sweep(root: Path) -> str:
    path = _first(root, "sweeps/LIDAR_TOP/*")
    path.unlink()
    return f"{path.name}: cannot be read"


def _truncate_image(root: Path) -> str:
    path = _last(root, "samples/CAM_BACK/*")
    path.write_bytes(path.read_bytes()[:300])
    return f"{path.name}: the JPEG is truncated"


def _garble_image(root: Path) -> str:
    path = _last(root, "samples/CAM_FRONT/*")
    path.write_bytes(b"no image at all")
    return f"{path.name}: not a JPEG"


def _resize_image(root: Path) -> str:
    path = _last(root, "samples/CAM_FRONT/*")
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))
    return rf"{path.name}: image is 30x20, but CAM_FRONT_LEFT of this keyframe is 48x32"


def _nan_pose(root: Path) -> str:
    _edit(root, "ego_pose", lambda record: record.update(translation=[1.0, float("nan"), 0.0]))
    return r"ego_pose\.json: record \w+ \(CAM_BACK_RIGHT\): translation is not finite"


def _nan_annotation(root: Path) -> str:
    _edit(root, "sample_annotation", lambda record: record.update(rotation=[float("nan")] * 4))
    return r"sample_annotation\.json: record \w+: rotation is not finite"


CASES = [
    _truncate_points, _empty_points, _lose_sweep, _truncate_image, _garble_image, _resize_image, _nan_pose,
]  # fmt: skip


@pytest.mark.parametrize("damage", CASES)
def test_damage_stops_a_run(root: Path, damage: Callable[[Path], str]) -> None:
    message = damage(root)
    with pytest.raises(DamagedSample, match=message) as caught:
        NuScenesDataset(DataConfig(root=root), "train")
    assert str(caught.value).startswith("1 of 2 keyframes are damaged")
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize("damage", CASES)
def test_damage_is_skipped_and_counted(
    root: Path, damage: Callable[[Path], str], caplog: pytest.LogCaptureFixture
) -> None:
    damage(root)
    dataset = NuScenesDataset(DataConfig(root=root, on_damage="skip"), "train")
    assert len(dataset) == 1 and len(dataset.damage) == 1
    assert dataset[0].token == dataset.tokens[0]
    assert "1 of 2 keyframes are damaged" in caplog.text and "skipped" in caplog.text
    assert len(examine(root).damaged) == 1


def test_unneeded_damage_does_not_matter(root: Path) -> None:
    _garble_image(root)
    _lose_sweep(root)
    dataset = NuScenesDataset(DataConfig(root=root, sweeps=0), "train", images=False)
    assert len(dataset) == 2 and len(dataset[1].points) > 0


def test_nan_calibration_is_named(root: Path) -> None:
    path = root / TABLES / "calibrated_sensor.json"
    records = json.loads(path.read_text())
    records[1]["camera_intrinsic"][0][0] = float("nan")
    path.write_text(json.dumps(records))
    with pytest.raises(
        DamagedSample, match=r"calibrated_sensor\.json: record \w+ \(CAM_FRONT_LEFT\): camera_intrinsic"
    ):
        NuScenesDataset(DataConfig(root=root), "train")
    with pytest.raises(DamagedSample, match="nothing is left to load: 2 of 2"):
        NuScenesDataset(DataConfig(root=root, on_damage="skip"), "train")


def test_what_only_reading_reveals_stops_or_is_replaced(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _first(root, "samples/CAM_BACK/*")
    content = bytearray(path.read_bytes())
    stopping = NuScenesDataset(DataConfig(root=root), "train")
    skipping = NuScenesDataset(DataConfig(root=root, on_damage="skip"), "train")
    path.write_bytes(bytes(content[:400]))
    with pytest.raises(DamagedSample, match=path.name):
        stopping[0]
    assert skipping[0].token == skipping.tokens[1]
    assert path.name in caplog.text
    _last(root, "samples/CAM_BACK/*").unlink()
    with pytest.raises(DamagedSample, match="none of the 2 keyframes"):
        skipping[0]


def test_a_broken_annotation_stops_at_its_keyframe(root: Path) -> None:
    message = _nan_annotation(root)
    dataset = NuScenesDataset(DataConfig(root=root), "train")
    with pytest.raises(DamagedSample, match=message):
        [dataset[index] for index in range(len(dataset))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ego_pose.json", None, r"ego_pose\.json cannot be read"),
        ("sample.json", "[{", r"sample\.json is not valid JSON"),
        ("scene.json", "{}", r"scene\.json must hold a list"),
        ("map.json", "[]", r"map\.json is empty"),
        ("sensor.json", "[]", "do not fit together"),
        ("splits.json", '["train"]', r"splits\.json must map"),
    ],
)
def test_a_damaged_table_is_named(root: Path, name: str, content: str | None, message: str) -> None:
    path = root / TABLES / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        NuScenesDataset(DataConfig(root=root), "train")


def test_a_missing_map_mask_is_named(root: Path) -> None:
    mask = _first(root, "maps/*.png")
    mask.unlink()
    with pytest.raises(UserError, match=mask.name):
        NuScenesDataset(DataConfig(root=root), "train")


def test_two_versions_need_a_choice(root: Path) -> None:
    shutil.copytree(root / TABLES, root / "v1.0-mini")
    with pytest.raises(UserError, match=r"several versions \(v1\.0-mini, v1\.0-trainval\); set data\.version"):
        NuScenesDataset(DataConfig(root=root), "train")
    assert len(NuScenesDataset(DataConfig(root=root, version=TABLES), "train")) == 2


def test_a_quaternion_must_be_a_rotation() -> None:
    with pytest.raises(DamagedSample, match=r"x\.json: rotation has norm 2"):
        rigid({"translation": [0, 0, 0], "rotation": [2, 0, 0, 0]}, "x.json")
    with pytest.raises(DamagedSample, match="translation is missing"):
        rigid({"rotation": [1, 0, 0, 0]}, "x.json")


def test_images_are_rgb(tmp_path: Path) -> None:
    path = tmp_path / "red.jpg"
    cv2.imwrite(str(path), np.full((16, 16, 3), (0, 0, 250), np.uint8))
    red, green, blue = read_image(path).reshape(-1, 3).mean(axis=0)
    assert red > 240 and green < 10 and blue < 10
