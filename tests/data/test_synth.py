"""The synthetic data set through the unmodified devkit: it loads, renders, evaluates, and looks as labelled."""

import hashlib
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.utils.geometry_utils import BoxVisibility, view_points
from nuscenes.utils.splits import get_scenes_of_split

from vexkd.classes import CAMERAS, DETECTION_CLASSES
from vexkd.config import DataConfig
from vexkd.data.boxes import submission_boxes
from vexkd.data.damage import read_image
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.info import examine
from vexkd.data.synth import camera
from vexkd.data.synth.expansion import tile_corner
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.data.synth.ground import Ground, make_ground
from vexkd.data.synth.objects import CATEGORIES, SIZES, build, draw_size
from vexkd.data.synth.rig import Mount, make_rig
from vexkd.data.synth.scene import KEYFRAME_SECONDS, Scene, make_scene, scene_side
from vexkd.plugins.errors import UserError


@pytest.fixture(scope="module")
def nusc(synth: Path) -> NuScenes:
    return NuScenes("v1.0-trainval", str(synth), verbose=False)


@pytest.fixture(scope="module")
def world(synth_config: SynthConfig) -> tuple[Scene, Ground, dict[str, Mount]]:
    """The first scene of the data set, made again."""
    rng = np.random.default_rng([synth_config.seed, 0])
    scene = make_scene(rng, synth_config.keyframes, tile_corner(0, scene_side(synth_config.keyframes)))
    ground = make_ground(rng, scene.layout)
    return scene, ground, make_rig(rng, synth_config.image_size)[1]


def test_the_devkit_loads_it(nusc: NuScenes) -> None:
    assert len(nusc.scene) == 2 and len(nusc.sample) == 6
    assert get_scenes_of_split("train", nusc)[0] == nusc.scene[0]["name"]
    assert nusc.scene[1]["name"] in get_scenes_of_split("val", nusc)
    categories = {annotation["category_name"] for annotation in nusc.sample_annotation}
    assert categories == set(CATEGORIES.values())
    for sample in nusc.sample:
        assert set(sample["data"]) == {"LIDAR_TOP", *CAMERAS}
    for instance in nusc.instance:
        chain, token = 0, instance["first_annotation_token"]
        while token:
            chain, last, token = chain + 1, token, nusc.get("sample_annotation", token)["next"]
        assert chain == instance["nbr_annotations"] and last == instance["last_annotation_token"]


def test_ground_truth_scores_one(synth: Path, nusc: NuScenes, tmp_path: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth), "val", images=False)
    results = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        scores = np.ones(len(sample.boxes))
        results[sample.token] = submission_boxes(
            sample.boxes, scores, sample.labels, sample.ego_to_global, sample.token
        )
    meta = {f"use_{kind}": kind == "lidar" for kind in ("camera", "lidar", "radar", "map", "external")}
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({"meta": meta, "results": results}))
    config = config_factory("detection_cvpr_2019")
    evaluation = DetectionEval(nusc, config, str(path), "val", str(tmp_path / "out"), verbose=False)
    metrics, _ = evaluation.evaluate()
    assert metrics.mean_ap == pytest.approx(1.0, abs=1e-9)
    assert set(metrics.mean_dist_aps) == set(DETECTION_CLASSES)
    assert metrics.nd_score > 0.99, "sizes, headings, velocities and attributes are right too"


def test_the_devkit_renders_it(nusc: NuScenes, tmp_path: Path) -> None:
    for channel, token in nusc.sample[1]["data"].items():
        path = tmp_path / f"{channel}.png"
        nusc.render_sample_data(token, out_path=str(path), verbose=False, nsweeps=2)
        plt.close("all")
        pixels = plt.imread(path)[..., :3]
        assert pixels.std() > 0.05
        if channel in CAMERAS:
            strongly_coloured = np.ptp(pixels, axis=2) > 0.8
            assert strongly_coloured.any(), "boxes are drawn over the image"


def test_boxes_lie_on_the_objects_in_all_cameras(
    nusc: NuScenes, world: tuple[Scene, Ground, dict[str, Mount]], synth_config: SynthConfig
) -> None:
    """The devkit's projection of a box centre meets a pixel of that very object, in the picture on disk."""
    scene, ground, cameras = world
    right, seen = 0, 0
    for frame, channel in ((frame, channel) for frame in range(synth_config.keyframes) for channel in CAMERAS):
        token = nusc.sample[frame]["data"][channel]
        path, boxes, intrinsics = nusc.get_sample_data(token, BoxVisibility.ALL)
        mount = cameras[channel]
        t = frame * KEYFRAME_SECONDS + mount.delay
        picture = camera.photograph(
            np.random.default_rng(0), scene, ground, t, scene.ego.pose(t) @ mount.to_ego, mount.intrinsics,
            synth_config.image_size,
        )  # fmt: skip
        difference = np.abs(picture.image.astype(int) - read_image(Path(path)))
        assert difference.mean() < 6, "the file shows what the caster sees, but for noise and compression"
        for box in boxes:
            annotation = nusc.get("sample_annotation", box.token)
            if annotation["visibility_token"] != "4" or box.center[2] > 30:
                continue
            u, v, _ = view_points(box.center[:, None], intrinsics, normalize=True)[:, 0]
            actor = picture.actor[round(v), round(u)]
            seen += 1
            right += actor >= 0 and CATEGORIES.get(scene.actors[actor].name or "") == annotation["category_name"]
    assert seen > 30
    assert right > 0.9 * seen, "the rest look through a digger's gaps or past a moving edge"


def test_cones_are_orange_where_their_boxes_are(nusc: NuScenes) -> None:
    shares = []
    for sample, channel in ((sample, channel) for sample in nusc.sample for channel in CAMERAS):
        path, boxes, intrinsics = nusc.get_sample_data(sample["data"][channel], BoxVisibility.ALL)
        image = read_image(Path(path)).astype(float)
        for box in boxes:
            annotation = nusc.get("sample_annotation", box.token)
            if "cone" not in box.name or annotation["visibility_token"] != "4" or box.center[2] > 20:
                continue
            u, v, _ = view_points(box.corners(), intrinsics, normalize=True)
            middle, bottom, height = u.mean(), v.max(), np.ptp(v)
            patch = image[
                round(bottom - 0.4 * height) : round(bottom - 0.15 * height), round(middle) - 1 : round(middle) + 2
            ]
            shares.append(np.mean(patch[..., 0] > 1.6 * patch[..., 2]))
    assert len(shares) >= 5 and np.median(shares) > 0.9


def test_far_objects_have_few_points(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth), "all", images=False)
    car = DETECTION_CLASSES.index("car")
    near, far = [], []
    for index in range(len(dataset)):
        sample = dataset[index]
        distance = np.hypot(sample.boxes[:, 0], sample.boxes[:, 1])
        cars = sample.labels == car
        near += sample.num_points[cars & (distance < 15)].tolist()
        far += sample.num_points[cars & (distance > 40)].tolist()
    assert np.median(near) > 10 * np.median(far)


def test_beams_and_noise(synth: Path) -> None:
    path = sorted((synth / "samples" / "LIDAR_TOP").iterdir())[0]
    points = np.fromfile(path, np.float32).reshape(-1, 5)
    assert set(np.unique(points[:, 4])) == set(range(32))
    assert (points[:, 3] == np.rint(points[:, 3])).all() and points[:, 3].max() <= 255
    ranges = np.linalg.norm(points[:, :3], axis=1)
    elevation = np.degrees(np.arcsin(points[:, 2] / ranges))
    assert np.allclose(elevation, -30.67 + points[:, 4] * 41.34 / 31, atol=1e-3)
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=0), "train", images=False)
    heights = dataset[0].points[:, 2]
    ground = heights[np.abs(heights) < 0.3]
    assert len(ground) > 5000 and 0.002 < ground.std() < 0.1


def _digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    small = {"scenes": 2, "keyframes": 2, "image_size": (32, 48)}
    generate(tmp_path / "a", SynthConfig(seed=5, **small))  # type: ignore[arg-type]
    told: list[int] = []
    generate(tmp_path / "b", SynthConfig(seed=5, **small), workers=2, progress=told.append)  # type: ignore[arg-type]
    generate(tmp_path / "c", SynthConfig(seed=6, **small))  # type: ignore[arg-type]
    first, second, other = (_digest(tmp_path / name) for name in "abc")
    assert first == second and told == [1, 2]
    assert first["v1.0-trainval/sample_annotation.json"] != other["v1.0-trainval/sample_annotation.json"]
    assert not list(tmp_path.glob(".*")), "nothing temporary is left"


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        generate(tmp_path / "out", SynthConfig(1))
    with pytest.raises(UserError, match=r"--scenes must be 1 to 700 .*, got 0"):
        generate(tmp_path / "new", SynthConfig(0))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", SynthConfig(1, keyframes=1, image_size=(32, 48)), progress=fail)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", DETECTION_CLASSES)
def test_parts_fill_their_box(name: str) -> None:
    rng = np.random.default_rng(1)
    for rider in (False, True):
        size = np.array(draw_size(rng, name, rider=rider))
        assert np.allclose(size[:2], SIZES[name][0][:2], rtol=0.25)
        parts = build(rng, name, tuple(size.tolist()), rider=rider)
        low = np.min([part.low for part in parts], axis=0)
        high = np.max([part.high for part in parts], axis=0)
        assert (low >= [-size[0] / 2, -size[1] / 2, 0]).all() and (high <= [size[0] / 2, size[1] / 2, size[2]]).all()
        assert (high - low >= 0.8 * size).all()
        assert all((np.array(part.low) < part.high).all() for part in parts)


def test_info_counts(synth: Path) -> None:
    found = examine(synth, decode=True)
    assert (found.scenes, found.keyframes, found.version) == (2, 6, "v1.0-trainval")
    assert found.splits["train"] == 3 and found.splits["val"] == 3 and found.splits["all"] == 6
    assert found.files["LIDAR_TOP"] == 2 * (1 + 2 * 5) and found.files["CAM_BACK"] == 6
    assert all(count == hit > 0 for count, hit in found.boxes.values())
    assert found.missing == [] and found.damaged == []
    assert json.loads(json.dumps(found.as_dict()))["boxes"]["car"]["boxes"] > 10


def test_info_names_what_a_real_root_lacks(real_data: Path) -> None:
    found = examine(real_data)
    assert found.boxes["barrier"] == (22, 22) and found.boxes["pedestrian"] == (30, 27)
    assert found.splits == {"train": 1, "mini_train": 1, "train_detect": 1, "all": 1}
    assert any("sweeps" in line for line in found.missing) and any(
        "singapore-onenorth" in line for line in found.missing
    )
    assert found.damaged == []
