"""Matching within a radius, against cases counted by hand."""

import numpy as np
import pytest

from vexkd.evaluation.boxes import Boxes
from vexkd.evaluation.match import Truth, lowest_threshold, match_boxes, match_metrics

CAR, PEDESTRIAN = 0, 8


def truth(*rows: tuple[float, float, int, int]) -> Truth:
    """Rows (x, y, label, points)."""
    boxes = np.zeros((len(rows), 9), np.float32)
    boxes[:, :2] = [row[:2] for row in rows]
    return Truth(boxes, np.array([row[2] for row in rows]), np.array([row[3] for row in rows]))


def boxes(*rows: tuple[float, float, int, float]) -> Boxes:
    """Rows (x, y, label, score)."""
    places = np.zeros((len(rows), 9), np.float32)
    places[:, :2] = np.array([row[:2] for row in rows]).reshape(-1, 2)
    return Boxes(places, np.array([row[3] for row in rows], np.float32), np.array([row[2] for row in rows], np.int64))


def outcomes(annotated: Truth, found: Boxes, radius: float = 1.0) -> list[int]:
    counted = (annotated.num_points >= 5) & (np.hypot(annotated.boxes[:, 0], annotated.boxes[:, 1]) <= 51.2)
    return match_boxes(annotated, found, counted, radius, 51.2).tolist()


def test_a_match_needs_the_radius_and_the_class():
    annotated = truth((10, 0, CAR, 9))
    assert outcomes(annotated, boxes((10.5, 0, CAR, 0.9))) == [1]
    assert outcomes(annotated, boxes((11.0, 0, CAR, 0.9))) == [1]
    assert outcomes(annotated, boxes((11.1, 0, CAR, 0.9))) == [0]
    assert outcomes(annotated, boxes((10.0, 0, PEDESTRIAN, 0.9))) == [0]


def test_a_second_box_on_the_same_object_is_false_whatever_the_order_of_rows():
    annotated = truth((10, 0, CAR, 9))
    assert outcomes(annotated, boxes((10, 0, CAR, 0.3), (10.4, 0, CAR, 0.8))) == [0, 1]


def test_the_better_score_takes_the_nearest_free_object():
    annotated = truth((0, 0, PEDESTRIAN, 9), (1.2, 0, PEDESTRIAN, 9))
    assert outcomes(annotated, boxes((0.5, 0, PEDESTRIAN, 0.9), (0.4, 0, PEDESTRIAN, 0.8))) == [1, 1]


def test_objects_and_predictions_outside_the_count_are_left_out():
    annotated = truth((10, 0, CAR, 4), (60, 0, CAR, 9))
    found = boxes((10, 0, CAR, 0.9), (10.2, 0, CAR, 0.8), (60, 0, CAR, 0.7), (55, 0, CAR, 0.6), (20, 0, CAR, 0.5))
    assert outcomes(annotated, found) == [-1, 0, -1, -1, 0]


def test_a_counted_object_comes_before_a_nearer_one_that_is_not():
    annotated = truth((10, 0, CAR, 9), (10.8, 0, CAR, 2))
    assert outcomes(annotated, boxes((10.6, 0, CAR, 0.9))) == [1]


def test_the_threshold_is_the_lowest_with_enough_precision():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
    # Precision going down: 1, 1/2, 2/3, 3/4, 4/5, 4/6, (left out) 4/6.
    assert lowest_threshold(scores, np.array([1, 0, 1, 1, 1, 0, -1]), 0.8) == 0.5
    assert lowest_threshold(scores, np.array([1, 0, 1, 1, 1, 0, -1]), 0.9) == 0.9
    assert lowest_threshold(scores, np.array([0, 0, 0, 0, 0, 0, -1]), 0.8) is None
    assert lowest_threshold(np.zeros(0), np.zeros(0), 0.8) is None


def test_boxes_of_one_score_stand_or_fall_together():
    assert lowest_threshold(np.array([0.9, 0.5, 0.5]), np.array([1, 1, 0]), 0.8) == 0.9


def test_metrics_over_two_keyframes_by_hand():
    first = (
        truth((5, 0, CAR, 9), (10, 0, PEDESTRIAN, 9), (15, 0, PEDESTRIAN, 1)),
        boxes((5, 0, CAR, 0.9), (10, 0, PEDESTRIAN, 0.8), (15, 0, PEDESTRIAN, 0.95), (30, 0, CAR, 0.1)),
    )
    second = truth((5, 5, CAR, 9), (7, 7, CAR, 9)), boxes((5, 5, CAR, 0.7))
    result = match_metrics([first, second], radius=1.0)
    assert result["threshold"] == pytest.approx(0.7)
    assert (result["objects"], result["found"], result["false"]) == (4, 3, 0)
    assert (result["recall"], result["precision"]) == (0.75, 1.0)
    assert result["classes"] == {
        "car": {"recall": 2 / 3, "precision": 1.0, "objects": 3, "found": 2, "false": 0},
        "pedestrian": {"recall": 1.0, "precision": 1.0, "objects": 1, "found": 1, "false": 0},
    }


def test_nothing_is_found_when_precision_is_never_reached():
    result = match_metrics([(truth((5, 0, CAR, 9)), boxes((9, 0, CAR, 0.9)))], radius=1.0)
    assert result["threshold"] is None
    assert (result["recall"], result["precision"], result["found"]) == (0.0, None, 0)


def test_no_keyframe_and_no_box():
    assert match_metrics([], radius=1.0)["recall"] is None
    empty = Truth(np.zeros((0, 9), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    result = match_metrics([(empty, boxes((1, 1, CAR, 0.9)))], radius=1.0)
    assert (result["recall"], result["threshold"]) == (None, None)
