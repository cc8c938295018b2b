"""Suppression against the numpy reference, overlaps against shapely."""

import numpy as np
import pytest
from clouds import THREADS, exact, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import affinity
from shapely import box as rectangle

from vexkd.plugins.nms import nms, rotated_iou
from vexkd.plugins.postprocess import NUSCENES_RADII, ClassRule, select_boxes
from vexkd.plugins.reference import nms as oracle


def random_boxes(rng: np.random.Generator, count: int, spread: float = 6.0) -> NDArray[np.float32]:
    """Crowded boxes; some are copies of others, some have right angles and so parallel sides."""
    boxes = rng.normal(0, spread, (count, 9))
    boxes[:, 3:6] = rng.uniform(0.5, 5, (count, 3))
    boxes[:, 6] = rng.uniform(-4, 4, count)
    turned = rng.random(count) < 0.3
    boxes[turned, 6] = rng.integers(-2, 3, turned.sum()) * np.pi / 2
    if count:
        boxes[rng.random(count) < 0.1] = boxes[0]
    return boxes.astype(np.float32)


def shapely_iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The same by another library's geometry."""
    shapes = []
    for x, y, _, length, width, _, yaw, *_ in (one.astype(float), other.astype(float)):
        shape = rectangle(-length / 2, -width / 2, length / 2, width / 2)
        shapes.append(affinity.translate(affinity.rotate(shape, yaw, origin=(0, 0), use_radians=True), x, y))
    return shapes[0].intersection(shapes[1]).area / shapes[0].union(shapes[1]).area


@exact
@given(
    st.integers(0, 40), st.sampled_from(["circle", "rotated"]), st.integers(1, 3), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_agrees_with_the_reference(count: int, overlap: str, group_count: int, broken: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, count)
    scores = np.round(rng.random(count), 1).astype(np.float32)
    groups = rng.integers(0, group_count, count).astype(np.int32)
    if broken:
        boxes[rng.random((count, 9)) < 0.02] = np.nan
        scores[rng.random(count) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        groups[rng.random(count) < 0.1] = rng.choice([-1, group_count, 2**31 - 1])
    # Thresholds that no overlap comes near: the last bit of a cosine decides nothing.
    thresholds = rng.uniform(0.5, 4, group_count) if overlap == "circle" else rng.uniform(0.1, 0.6, group_count)
    ours = nms(boxes, scores, groups, overlap, thresholds, 0.25)
    assert ours.tolist() == oracle.nms(boxes, scores, groups, overlap, thresholds, 0.25).tolist()


@exact
@given(st.integers(0, 2**32 - 1))
def test_iou_agrees_with_shapely_and_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_boxes(rng, 4, 2.0), random_boxes(rng, 5, 2.0)
    second[0] = first[0]
    ours = rotated_iou(first, second)
    expected = [[shapely_iou(one, other) for other in second] for one in first]
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(ours, oracle.rotated_iou(first, second), atol=1e-6)
    assert ours[0, 0] == pytest.approx(1, abs=1e-6)


def test_iou_of_known_pairs() -> None:
    def box(x: float, length: float, width: float, yaw: float) -> list[float]:
        return [x, 0, 0, length, width, 1, yaw, 0, 0]

    first = np.array([box(0, 4, 2, 0)], np.float32)
    second = np.array(
        [box(2, 4, 2, 0), box(0, 2, 4, np.pi / 2), box(4, 4, 2, 0), box(9, 4, 2, 1), box(0, 0, 2, 0), box(0, -4, 2, 0)],
        np.float32,
    )
    np.testing.assert_allclose(rotated_iou(first, second)[0], [1 / 3, 1, 0, 0, 0, 0], atol=1e-6)
    second[0, 3] = np.nan
    second[1, 0] = np.inf
    assert rotated_iou(first, second)[0, :2].tolist() == [0, 0]


def test_iou_is_the_same_for_any_number_of_threads() -> None:
    boxes = random_boxes(np.random.default_rng(0), 60)
    first = rotated_iou(boxes, boxes, threads=1)
    assert all(same_bits(rotated_iou(boxes, boxes, threads=threads), first) for threads in THREADS)


def test_circles_by_hand() -> None:
    boxes = np.zeros((5, 9), np.float32)
    boxes[:, 0] = [0, 0.9, 1.8, 1.0, 0.0]
    scores = np.array([0.5, 0.9, 0.4, 0.3, 0.2], np.float32)
    groups = np.array([0, 0, 0, 0, 1], np.int32)
    # 1 takes 0, 2 (0.9 away) and 3; the other group's box stands by itself.
    assert nms(boxes, scores, groups, "circle", [1.0, 1.0]).tolist() == [1, 4]
    # A distance equal to the radius is no overlap.
    assert nms(boxes[[0, 3]], scores[[0, 3]], groups[:2], "circle", [1.0]).tolist() == [0, 1]
    assert nms(boxes, scores, groups, "circle", [np.nan, 1.0], 0.35).tolist() == [1, 0, 2]


def test_no_boxes_and_no_groups() -> None:
    empty = np.zeros((0, 9), np.float32)
    assert nms(empty, np.zeros(0, np.float32), np.zeros(0, np.int32), "rotated", [0.5]).tolist() == []
    assert nms(np.zeros((2, 9), np.float32), np.zeros(2, np.float32), np.zeros(2, np.int32), "circle", []).size == 0
    assert rotated_iou(empty, empty).shape == (0, 0)


def test_select_boxes_takes_the_best_of_each_place() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-50, 50, (30, 2)).round()
    boxes = np.zeros((300, 9), np.float32)
    boxes[:, :2] = np.repeat(places, 10, axis=0) + rng.uniform(-0.1, 0.1, (300, 2))
    scores = rng.random(300).astype(np.float32)
    labels = np.repeat(np.arange(30) % 10, 10)
    rules = [ClassRule(group, "circle", 0.5) for group in range(10)]
    kept = select_boxes(boxes, scores, labels, 0.05, rules)
    assert sorted(kept // 10) == list(range(30))
    assert all(scores[index] == scores[index // 10 * 10 :][:10].max() for index in kept)
    assert (np.diff(scores[kept]) <= 0).all()
    assert select_boxes(boxes, scores, labels, 2.0, rules).size == 0


CAR, TRUCK, DIGGER, _, TRAILER, BARRIER, _, _, PEDESTRIAN, CONE = range(10)
COARSE = (0,) * 5 + (1,) * 5
"""Two groups: vehicles, and all that is small."""
FINE = (0, 1, 1, 2, 2, 3, 4, 4, 5, 5)
"""CenterPoint's six groups."""


def selected(found: list[tuple[float, float, int]], groups: tuple[int, ...], least: float = 0.0) -> list[int]:
    """Indices that stay of (x in metres, score, label), in ascending order."""
    boxes = np.zeros((len(found), 9), np.float32)
    boxes[:, 0] = [x for x, _, _ in found]
    scores = np.array([score for _, score, _ in found], np.float32)
    rules = [ClassRule(group, "circle", radius) for group, radius in zip(groups, NUSCENES_RADII, strict=True)]
    return sorted(select_boxes(boxes, scores, np.array([label for *_, label in found]), least, rules).tolist())


@pytest.mark.parametrize("groups", [COARSE, FINE])
def test_one_object_is_reported_under_its_best_name(groups: tuple[int, ...]) -> None:
    assert selected([(0.0, 0.6, TRUCK), (0.5, 0.7, DIGGER), (0.1, 0.2, CONE)], groups) == [1, 2]
    assert selected([(0.0, 0.6, PEDESTRIAN), (0.1, 0.5, CONE), (0.2, 0.9, TRUCK)], groups) == [0, 2]


def test_classes_of_different_groups_do_not_meet() -> None:
    found = [(0.0, 0.6, TRUCK), (0.5, 0.7, CAR), (1.0, 0.5, TRAILER)]
    assert selected(found, FINE) == [0, 1, 2]
    assert selected(found, COARSE) == [1]
    assert selected(found, tuple(range(10))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("distance", "one", "other"),
    [(0.4, PEDESTRIAN, BARRIER), (2.7, CAR, TRUCK), (8.0, TRUCK, TRAILER), (3.0, TRUCK, DIGGER)],
)
@pytest.mark.parametrize("scores", [(0.9, 0.2), (0.2, 0.9)])
def test_neighbours_of_one_group_stay(distance: float, one: int, other: int, scores: tuple[float, float]) -> None:
    assert selected([(0.0, scores[0], one), (distance, scores[1], other)], COARSE) == [0, 1]


def test_what_a_suppressed_box_lies_near_stays() -> None:
    # The truck goes for the digger 2 m away, the trailer is 2 m from the truck but 4 m from the digger.
    assert selected([(0.0, 0.9, DIGGER), (2.0, 0.8, TRUCK), (4.0, 0.7, TRAILER)], COARSE) == [0, 2]
    # Of one class first: the second truck is the first one's double, wherever the digger is.
    assert selected([(0.0, 0.9, DIGGER), (2.0, 0.8, TRUCK), (4.0, 0.7, TRUCK)], COARSE) == [0]


def test_equal_scores_are_taken_in_order() -> None:
    assert selected([(0.0, 0.5, TRUCK), (0.0, 0.5, DIGGER)], COARSE) == [0]
    assert selected([(0.0, 0.5, DIGGER), (0.0, 0.5, TRUCK)], COARSE) == [0]


def test_what_is_no_peak_is_never_selected() -> None:
    found = [(0.0, 0.5, CAR), (20.0, 0.0, CAR), (40.0, -0.0, CONE), (60.0, 1e-30, CAR)]
    assert selected(found, FINE) == [0, 3]
    assert selected(found, FINE, least=-1.0) == [0, 3]


def test_select_boxes_refuses_what_does_not_match() -> None:
    boxes, scores = np.zeros((2, 9), np.float32), np.ones(2, np.float32)
    rules = [ClassRule(0, "circle", 1.0)] * 10
    with pytest.raises(ValueError, match="one length"):
        select_boxes(boxes, scores[:1], np.zeros(2, np.int64), 0.1, rules)
    with pytest.raises(ValueError, match=r"boxes must have the shape \(K, 9\), got \(2, 7\)"):
        select_boxes(boxes[:, :7], scores, np.zeros(2, np.int64), 0.1, rules)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.9, got 0\.\.10"):
        select_boxes(boxes, scores, np.array([0, 10]), 0.1, rules)
