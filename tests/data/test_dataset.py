"""The loader against the devkit's own computations, on a real keyframe and on synthetic ones."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box, transform_matrix
from pyquaternion import Quaternion

from vexkd.classes import CAMERAS, DETECTION_CLASSES
from vexkd.config import DataConfig
from vexkd.data.boxes import submission_boxes
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.geometry import YAW
from vexkd.plugins.errors import UserError


def _check_contract(sample: Sample, size: tuple[int, int]) -> None:
    assert sample.points.dtype == np.float32 and sample.points.shape[1] == 5
    assert np.isfinite(sample.points).all()
    assert sample.points[:, 3].min() >= 0 and sample.points[:, 3].max() <= 1
    assert (np.diff(sample.points[:, 4]) >= 0).all() and sample.points[0, 4] == 0
    assert sample.images.shape == (6, *size, 3) and sample.images.dtype == np.uint8
    assert sample.intrinsics.shape == (6, 3, 3) and sample.camera_to_ego.shape == (6, 4, 4)
    assert sample.boxes.shape == (len(sample.labels), 9) and sample.boxes.dtype == np.float32
    assert sample.labels.dtype == np.int64 and sample.num_points.shape == sample.labels.shape
    yaw = sample.boxes[:, YAW].astype(np.float64)
    assert ((yaw > -np.pi) & (yaw <= np.pi)).all()


def test_real_keyframe_keeps_the_contract(real_data: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=real_data), "mini_train")
    sample = dataset[0]
    _check_contract(sample, (900, 1600))
    assert len(dataset) == 1 and len(sample.boxes) == 68
    assert sample.map_labels is None
    assert np.isnan(sample.boxes[:, 7:]).all(), "one keyframe has no velocities"


def test_real_points_agree_with_the_annotations(real_data: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=real_data), "all", images=False)
    sample = dataset[0]
    nusc = dataset.nusc
    global_points = sample.points[:, :3].astype(np.float64) @ sample.ego_to_global[:3, :3].T
    global_points += sample.ego_to_global[:3, 3]
    annotated = [nusc.get_box(token) for token in nusc.get("sample", sample.token)["anns"]]
    counts = np.array([np.count_nonzero(points_in_box(box, global_points.T)) for box in annotated])
    assert np.count_nonzero(counts == sample.num_points) == 60
    # Our boxes stand upright in the ego frame; that changes a count here and there.
    ours = np.array([_count(sample, box) for box in sample.boxes.astype(np.float64)])
    assert np.count_nonzero(ours == sample.num_points) >= 58


@pytest.mark.parametrize("kind", ["real", "synth"])
def test_boxes_fall_where_the_devkit_puts_them_in_each_camera(kind: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue("real_data" if kind == "real" else "synth")
    dataset = NuScenesDataset(DataConfig(root=root), "all", images=False)
    sample = dataset[len(dataset) - 1]
    record = dataset.nusc.get("sample", sample.token)
    kept = [name for name in record["anns"]]
    inside = 0
    for index, camera in enumerate(CAMERAS):
        _, boxes, intrinsics = dataset.nusc.get_sample_data(record["data"][camera], selected_anntokens=kept)
        assert np.allclose(intrinsics, sample.intrinsics[index])
        ego_to_camera = np.linalg.inv(sample.camera_to_ego[index])
        ours = sample.boxes[:, :3].astype(np.float64) @ ego_to_camera[:3, :3].T + ego_to_camera[:3, 3]
        for box in boxes:
            assert np.linalg.norm(ours - box.center, axis=1).min() < 1e-3
        inside += len(boxes)
    assert inside > 20


def test_sweeps_agree_with_the_devkit(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=9, max_points=1_000_000), "val", images=False)
    sample = dataset[2]
    record = dataset.nusc.get("sample", sample.token)
    cloud, ages = LidarPointCloud.from_file_multisweep(dataset.nusc, record, "LIDAR_TOP", "LIDAR_TOP", nsweeps=10)
    lidar = dataset.nusc.get("sample_data", record["data"]["LIDAR_TOP"])
    mounting = dataset.nusc.get("calibrated_sensor", lidar["calibrated_sensor_token"])
    to_ego = transform_matrix(mounting["translation"], Quaternion(mounting["rotation"]))
    expected = to_ego[:3, :3] @ cloud.points[:3].astype(np.float64) + to_ego[:3, 3:]
    assert sample.points.shape[0] == expected.shape[1] > 150_000
    assert np.abs(sample.points[:, :3] - expected.T).max() < 2e-4
    assert np.allclose(sample.points[:, 3], cloud.points[3] / 255.0)
    assert np.allclose(sample.points[:, 4], ages[0], atol=1e-6)
    assert len(np.unique(sample.points[:, 4])) == 10


def test_standing_walls_stay_put_over_sweeps(synth: Path) -> None:
    """Points of old sweeps above 2.5 m (buildings stand still) lie close to points of the keyframe."""
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=4, max_points=1_000_000), "train", images=False)
    points = dataset[2].points
    keyframe = points[(points[:, 4] == 0) & (points[:, 2] > 2.5), :3]
    old = points[(points[:, 4] > 0.35) & (points[:, 2] > 2.5), :3]
    distance = np.array([np.linalg.norm(keyframe - point, axis=1).min() for point in old[::7]])
    assert len(distance) > 20 and np.median(distance) < 0.5


def test_capacity_drops_the_oldest_points(synth: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = NuScenesDataset(DataConfig(root=synth, sweeps=4, max_points=1_000_000), "val", images=False)[1]
    small = NuScenesDataset(DataConfig(root=synth, sweeps=4, max_points=30_000), "val", images=False)
    assert np.array_equal(small[1].points, whole.points[:30_000])
    assert f"the oldest {len(whole.points) - 30_000} are dropped" in caplog.text


def test_a_keyframe_without_sweeps_is_the_keyframe_alone(synth: Path) -> None:
    none = NuScenesDataset(DataConfig(root=synth, sweeps=0), "train", images=False)
    nine = NuScenesDataset(DataConfig(root=synth, sweeps=9), "train", images=False)
    assert np.array_equal(none[0].points, nine[0].points)
    assert len(nine[1].points) > 3 * len(none[1].points)


def test_synthetic_keyframes_keep_the_contract(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth), "val", map_labels=True)
    for index in range(len(dataset)):
        sample = dataset[index]
        _check_contract(sample, (135, 240))
        assert sample.map_labels is not None and sample.map_labels.shape == (6, 200, 200)
        assert sample.token == dataset.tokens[index]
        counts = np.array([_count(sample, box) for box in sample.boxes.astype(np.float64)])
        # The ego tilts by up to half a degree and our boxes stand upright: a few points change sides.
        assert np.abs(counts - sample.num_points).mean() < 0.02 * sample.num_points.mean() + 1


def test_velocity_is_in_the_ego_frame(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth), "train", images=False)
    sample = dataset[1]
    cars = sample.boxes[sample.labels == DETECTION_CLASSES.index("car")]
    speed = np.hypot(cars[:, 7], cars[:, 8])
    moving = cars[speed > 2.0]
    assert len(moving) > 3
    along = np.arctan2(moving[:, 8], moving[:, 7]) - moving[:, YAW]
    assert (np.cos(along) > 0.99).all(), "traffic drives where it looks"


def test_submission_restores_the_annotations(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth), "val", images=False)
    sample = dataset[1]
    records = submission_boxes(
        sample.boxes, np.full(len(sample.boxes), 0.5), sample.labels, sample.ego_to_global, sample.token
    )
    for record, token in zip(records, dataset.nusc.get("sample", sample.token)["anns"], strict=True):
        box = dataset.nusc.get_box(token)
        assert np.allclose(record["translation"], box.center, atol=1e-3)
        assert np.allclose(record["size"], box.wlh, atol=1e-4)
        turn = Quaternion(record["rotation"]).inverse * box.orientation
        assert np.degrees(abs(turn.radians)) < 1.5, "only the ego's tilt is lost"
        velocity = np.nan_to_num(dataset.nusc.box_velocity(token)[:2])
        assert np.allclose(record["velocity"], velocity, atol=0.05)


def test_cache_gives_the_same_object(tiny: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=tiny, cache=True), "train")
    assert dataset[0] is dataset[0]
    assert dataset[-1] is dataset[1]
    with pytest.raises(IndexError):
        dataset[2]


def test_datasets_of_one_root_share_its_tables(tiny: Path) -> None:
    first = NuScenesDataset(DataConfig(root=tiny), "train")
    second = NuScenesDataset(DataConfig(root=tiny, sweeps=0), "all", images=False)
    assert first.nusc is second.nusc
    table = tiny / "v1.0-trainval" / "visibility.json"
    os.utime(table, ns=(1, 1))
    assert NuScenesDataset(DataConfig(root=tiny), "train").nusc is not first.nusc, "a changed table is read again"


def test_worker_processes_read_the_same(synth: Path) -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=1), "all", map_labels=True)
    loader = torch_data.DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list)
    samples = [sample for batch in loader for sample in batch]
    assert [sample.token for sample in samples] == dataset.tokens
    for sample, here in zip(samples, (dataset[index] for index in range(len(dataset))), strict=True):
        for name in ("points", "images", "boxes", "camera_to_ego", "map_labels"):
            assert np.array_equal(getattr(sample, name), getattr(here, name), equal_nan=name == "boxes")


@pytest.mark.parametrize(
    ("values", "split", "message"),
    [
        ({"root": "nowhere"}, "train", "is no folder"),
        ({"version": "v1.0-test"}, "train", "has no version v1.0-test, found: v1.0-trainval"),
        ({}, "vall", "unknown split 'vall'"),
        ({}, "mini_val", "has no keyframe"),
    ],
)
def test_a_wrong_root_or_split_is_explained(tiny: Path, values: dict[str, str], split: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        NuScenesDataset(DataConfig(**{"root": tiny, **values}), split)  # type: ignore[arg-type]


def test_a_number_of_scenes_takes_the_first_of_the_split(synth: Path) -> None:
    config = DataConfig(root=synth, sweeps=0)
    whole = NuScenesDataset(config, "all", images=False)
    first = whole.nusc.scene[0]["token"]
    expected = [token for token in whole.tokens if whole.nusc.get("sample", token)["scene_token"] == first]
    assert NuScenesDataset(config, "all", images=False, scenes=1).tokens == expected
    assert NuScenesDataset(config, "all", images=False, scenes=2).tokens == whole.tokens
    with pytest.raises(UserError, match=r"data\.train_scenes is 3, but split 'all' has 2 scenes"):
        NuScenesDataset(config, "all", images=False, scenes=3)
    with pytest.raises(UserError, match="has no keyframe"):
        NuScenesDataset(config, "mini_val", images=False, scenes=1)


def test_map_labels_without_a_map_are_refused(real_data: Path) -> None:
    with pytest.raises(UserError, match=r"singapore-onenorth\.json"):
        NuScenesDataset(DataConfig(root=real_data), "all", map_labels=True)


def test_no_torch() -> None:
    code = (
        "import sys, vexkd.data.dataset, vexkd.data.synth.generate, vexkd.data.info; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def _count(sample: Sample, box: np.ndarray) -> int:
    """Points of the keyframe itself in an upright box."""
    points = sample.points[sample.points[:, 4] == 0, :3].astype(np.float64) - box[:3]
    cos, sin = np.cos(box[YAW]), np.sin(box[YAW])
    along, left = cos * points[:, 0] + sin * points[:, 1], cos * points[:, 1] - sin * points[:, 0]
    inside = (np.abs(along) <= box[3] / 2) & (np.abs(left) <= box[4] / 2) & (np.abs(points[:, 2]) <= box[5] / 2)
    return int(np.count_nonzero(inside))
