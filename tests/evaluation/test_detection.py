"""The in-memory metric against the devkit's DetectionEval on files, number for number."""

import json

import numpy as np
import pytest
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.nuscenes import NuScenes

from vexkd.data.boxes import load_boxes
from vexkd.data.damage import rigid
from vexkd.data.root import split_tokens
from vexkd.evaluation.boxes import Boxes, devkit_boxes, write_submission
from vexkd.evaluation.detection import ERRORS, detection_metrics


@pytest.fixture(scope="module", params=["real", "synthetic"])
def nusc(request) -> NuScenes:
    if request.param == "real":
        return NuScenes("v1.0-mini", str(request.getfixturevalue("real_data")), verbose=False)
    return NuScenes("v1.0-trainval", str(request.getfixturevalue("keyframes")), verbose=False)


def split_of(nusc: NuScenes) -> tuple[str, list[str]]:
    """A split the devkit knows in these tables, and its sample tokens."""
    split = "mini_train" if nusc.version == "v1.0-mini" else "train"
    return split, split_tokens(nusc, split)


def ego_pose(nusc: NuScenes, token: str) -> np.ndarray:
    lidar = nusc.get("sample_data", nusc.get("sample", token)["data"]["LIDAR_TOP"])
    return rigid(nusc.get("ego_pose", lidar["ego_pose_token"]), "pose")


def predicted(nusc: NuScenes, noise: float, seed: int = 0) -> EvalBoxes:
    """The annotations, moved about by ``noise`` metres, some of them missing and some of another class."""
    rng = np.random.default_rng(seed)
    found = EvalBoxes()
    for token in split_of(nusc)[1]:
        pose = ego_pose(nusc, token)
        boxes, labels, points = load_boxes(nusc, token, pose)
        # The metric drops annotations without a point, but not predictions there.
        boxes, labels = np.nan_to_num(boxes)[points > 0], labels[points > 0]
        if noise:
            boxes[:, :2] += rng.normal(0, noise, boxes[:, :2].shape)
            boxes[:, 3:7] += rng.normal(0, 0.1, boxes[:, 3:7].shape)
            labels = np.where(rng.random(len(labels)) < 0.1, rng.integers(0, 10, len(labels)), labels)
            kept = rng.random(len(labels)) < 0.8
            boxes, labels = boxes[kept], labels[kept]
        scores = rng.random(len(labels)).astype(np.float32)
        found.add_boxes(token, devkit_boxes(token, Boxes(boxes, scores, labels), pose))
    return found


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_numbers_are_those_of_the_devkit_on_files(nusc, tmp_path, noise):
    found = predicted(nusc, noise)
    write_submission(tmp_path / "results.json", found, camera=False, lidar=True)
    split, tokens = split_of(nusc)
    result = detection_metrics(nusc, tokens, found)
    config = config_factory("detection_cvpr_2019")
    oracle = DetectionEval(nusc, config, str(tmp_path / "results.json"), split, str(tmp_path), verbose=False)
    expected = oracle.evaluate()[0].serialize()
    assert result["mAP"] == expected["mean_ap"]
    assert result["NDS"] == expected["nd_score"]
    for key, short in ERRORS.items():
        assert result[f"m{short}"] == expected["tp_errors"][key]
    for name, row in result["classes"].items():
        assert row["AP"] == expected["mean_dist_aps"][name]
        for key, short in ERRORS.items():
            np.testing.assert_equal(
                np.nan if row[short] is None else row[short], expected["label_tp_errors"][name][key]
            )


def test_ground_truth_as_predictions_is_perfect_in_every_class_that_occurs(nusc):
    result = detection_metrics(nusc, split_of(nusc)[1], predicted(nusc, 0.0))
    found = {name for name, row in result["classes"].items() if row["AP"] > 0}
    assert {"car", "pedestrian"} <= found
    for name in found:
        assert result["classes"][name]["AP"] == pytest.approx(1.0)
        assert result["classes"][name]["ATE"] < 1e-3
        assert result["classes"][name]["ASE"] < 1e-5


def test_no_prediction_at_all_scores_nothing_and_inputs_stay_as_they_are(nusc):
    tokens = split_of(nusc)[1]
    found = EvalBoxes()
    for token in tokens:
        found.add_boxes(token, [])
    assert detection_metrics(nusc, tokens, found)["mAP"] == 0.0
    full = predicted(nusc, 0.0)
    before = json.dumps(full.serialize())
    detection_metrics(nusc, tokens, full)
    assert json.dumps(full.serialize()) == before


def test_boxes_that_are_not_finite_are_left_out_and_only_the_best_500_are_kept():
    boxes = np.ones((600, 9), np.float32)
    boxes[3, 0] = np.nan
    boxes[4, 7] = np.nan
    scores = np.linspace(1, 0, 600, dtype=np.float32)
    kept = devkit_boxes("token", Boxes(boxes, scores, np.zeros(600, np.int64)), np.eye(4))
    assert len(kept) == 500
    assert [box.detection_score for box in kept[:4]] == [float(scores[i]) for i in (0, 1, 2, 4)]
    assert kept[3].velocity == (0.0, 1.0)
