"""Selection of boxes: C against numpy, and each suppression by hand. Circles by hand are in test_kernels_nms.py."""

import ctypes

import numpy as np
import pytest
from clouds import exact
from hypothesis import given
from hypothesis import strategies as st

from vexkd.plugins.library import ClassRuleRecord, kernels
from vexkd.plugins.postprocess import ClassRule, select_boxes
from vexkd.plugins.reference.select_boxes import select_boxes as reference

SPECIAL = [0.0, -1.0, np.nan, np.inf]
GROUPS = st.integers(0, 2)
# Sides are whole tenths, centres whole quarters: limits that no such pair of boxes meets to the bit.
CIRCLES = st.builds(ClassRule, GROUPS, st.just("circle"), st.sampled_from([0.35, 0.8, 2.0, 3.0, *SPECIAL]))
OVERLAPS = st.builds(
    ClassRule, GROUPS, st.just("scaled"), st.sampled_from([0.0213, 0.2137, 0.5171, 1.0, np.nan, np.inf]),
    st.sampled_from([0.4, 1.0, 4.5, *SPECIAL]),
)  # fmt: skip
RULES = st.lists(CIRCLES | OVERLAPS, min_size=1, max_size=6)


@exact
@given(st.integers(0, 80), RULES, st.booleans(), st.sampled_from([0.3, 0.0, -np.inf, 1e-42, 2.0, np.nan]),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_the_same_indices_as_the_reference(
    count: int, rules: list[ClassRule], broken: bool, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = rng.normal(0, 3, (count, 9)).astype(np.float32)
    boxes[:, :2] = np.round(boxes[:, :2] * 4) / 4
    boxes[:, 3:5] = np.round(rng.uniform(-0.2, 4, (count, 2)), 1)
    scores = np.round(rng.random(count), 1).astype(np.float32)
    labels = rng.integers(0, len(rules), count).astype(np.int32)
    if broken:
        boxes[rng.random((count, 9)) < 0.05] = rng.choice([np.nan, np.inf, 3e38])
        scores[rng.random(count) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e-42])
    with np.errstate(invalid="ignore", over="ignore"):
        expected = reference(boxes, scores, labels, threshold, rules)
    selected = select_boxes(boxes, scores, labels, threshold, rules)
    assert selected.dtype == np.int64 and selected.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_and_strides_are_taken(dtype: type) -> None:
    rng = np.random.default_rng(0)
    boxes, scores = rng.normal(0, 3, (60, 18))[:, ::2].astype(dtype), rng.random(60).astype(dtype)
    labels = rng.integers(0, 3, 120)[::2]
    rules = [ClassRule(0, "circle", 1.0), ClassRule(0, "circle", 2.0), ClassRule(1, "rotated", 0.2)]
    single = boxes.astype(np.float32)
    expected = reference(single, scores.astype(np.float32), labels.astype(np.int32), 0.1, rules)
    assert select_boxes(boxes, scores, labels, 0.1, rules).tolist() == expected.tolist()


def box(x: float, y: float, length: float, width: float, yaw: float = 0.0) -> list[float]:
    return [x, y, 0, length, width, 1, yaw, 0, 0]


def kept(boxes: list[list[float]], labels: list[int], rules: list[ClassRule]) -> list[int]:
    """What stays of boxes that are listed best first."""
    scores = np.linspace(0.9, 0.1, len(boxes)).astype(np.float32)
    return select_boxes(np.array(boxes, np.float32), scores, np.array(labels), 0.0, rules).tolist()


def test_rotated_boxes_give_way_by_the_overlap_of_their_footprints() -> None:
    # Two 4 x 1 boxes: side by side 1.1 m apart, crossed (IoU 1/7), and displaced by 1 m along (IoU 3/5).
    beside, crossed, along = box(0, 1.1, 4, 1), box(0, 0, 4, 1, np.pi / 2), box(1, 0, 4, 1)
    assert kept([box(0, 0, 4, 1), beside, crossed, along], [0] * 4, [ClassRule(0, "rotated", 0.2)]) == [0, 1, 2]
    assert kept([box(0, 0, 4, 1), crossed], [0] * 2, [ClassRule(0, "rotated", 0.14)]) == [0]
    # A circle that spares the one beside would spare the one along, too.
    assert kept([box(0, 0, 4, 1), beside, along], [0] * 3, [ClassRule(0, "circle", 1.05)]) == [0, 1]


def test_scaled_boxes_meet_where_they_would_not() -> None:
    # Two guesses of a pedestrian 0.8 m apart: footprints of 0.6 m do not meet, 4.5 times as large they overlap by half.
    pedestrians = [box(0, 0, 0.6, 0.6), box(0.8, 0, 0.6, 0.6)]
    assert kept(pedestrians, [0, 0], [ClassRule(0, "rotated", 0.2)]) == [0, 1]
    assert kept(pedestrians, [0, 0], [ClassRule(0, "scaled", 0.2, 4.5)]) == [0]
    # Lorries nose to tail whose boxes touch by a metre: reduced they stay apart.
    lorries = [box(0, 0, 10, 3), box(6, 0, 10, 3)]
    assert kept(lorries, [0, 0], [ClassRule(0, "rotated", 0.2)]) == [0]
    assert kept(lorries, [0, 0], [ClassRule(0, "scaled", 0.2, 0.55)]) == [0, 1]


def test_each_box_grows_by_the_factor_of_its_own_class() -> None:
    rules = [ClassRule(0, "scaled", 0.3, 2.0), ClassRule(0, "scaled", 0.3, 1.0)]
    # 2 x 1 doubled is 4 x 2, which is what the other is already.
    assert kept([box(0, 0, 2, 1), box(0, 0, 4, 2)], [0, 1], rules) == [0]
    assert kept([box(0, 0, 4, 2), box(0, 0, 4, 2)], [0, 1], rules) == [0, 1], "8 x 4 against 4 x 2: IoU 1/4"


def test_classes_of_a_group_are_rivals_by_both_limits_and_groups_do_not_meet() -> None:
    boxes = [box(0, 0, 4, 1), box(1, 0, 4, 1)]  # IoU 3/5
    strict, loose = ClassRule(0, "rotated", 0.5), ClassRule(0, "rotated", 0.7)
    for rules, expected in (([strict, strict], [0]), ([strict, loose], [0, 1]), ([loose, strict], [0, 1])):
        assert kept(boxes, [0, 1], rules) == expected
    assert kept(boxes, [0, 1], [strict, strict._replace(group=1)]) == [0, 1]
    assert kept(boxes, [0, 1], [strict, ClassRule(0, "circle", 3.0)]) == [0, 1], "kinds that differ do not meet"


def test_an_unknown_overlap_is_refused() -> None:
    rules = (ClassRuleRecord * 1)(ClassRuleRecord(0, 2, 1.0, 1.0))
    numbers, ints = np.zeros(9, np.float32), np.zeros(4, np.int32)
    at, count = numbers.ctypes.data, ints.ctypes.data
    arguments = (at, at, count, 1, 0.0, ctypes.byref(rules), 1, count + 4, count + 8, None, 0)
    assert kernels().vexkd_select_boxes_cpu(*arguments) == 2
