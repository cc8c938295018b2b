"""From the decoded boxes of a network to those that are reported; semantics in include/vexkd/select_boxes.h."""

import ctypes
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import ClassRuleRecord, call, cpu_workspace, pointer
from vexkd.plugins.nms import BOX_SIZE

Suppression = Literal["circle", "rotated", "scaled"]
NUSCENES_RADII = (2.0, 3.0, 3.0, 3.0, 3.0, 0.5, 0.8, 0.8, 0.35, 0.35)
"""Metres within which two boxes of one class are one object, in the order of ``vexkd.classes.DETECTION_CLASSES``.

Somewhat under the closest distance at which two objects of the class stand side by side.
"""
BEVDET_SCALES = (1.0, 0.7, 0.7, 0.4, 0.55, 1.1, 1.0, 1.0, 4.5, 9.0)
"""Factors of BEVDet's scale-NMS, in the same order: small boxes of one object often do not meet, so they grow first."""
LEAST_SCORE = float(np.finfo(np.float32).tiny)
"""Where a frame has fewer peaks than the decoder reports boxes, the rest are cells that are no peak, with score 0."""

_OVERLAPS: dict[Suppression, int] = {"circle": 0, "rotated": 1, "scaled": 1}


class ClassRule(NamedTuple):
    """How boxes of one class give way to better ones."""

    group: int
    """Classes with the same number are alternatives to each other, and have the same suppression."""
    suppression: Suppression
    """``circle``: centres nearer than the limit; ``rotated``: footprints whose intersection over union is above it;
    ``scaled``: the same after length and width were multiplied by the scale."""
    limit: float
    """Metres, or intersection over union."""
    scale: float = 1.0


def select_boxes(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    score_threshold: float,
    rules: Sequence[ClassRule],
) -> NDArray[np.int64]:
    """Score threshold, then suppression within each class, then among the classes of a group.

    Boxes are taken by descending score (equal scores: lower index first). Within a class, one that overlaps a box that
    was taken is dropped. Those that are left are taken again: one that overlaps a taken box of another class of its
    group, by the limits of both classes, is dropped, so that one object is reported once, and under its best name.
    Scores of 0 and scores that are not finite are dropped.

    Both limits, because neither class is found that close to its own kind, so such a pair is one object with two names;
    and because it does not matter then which of the two has the better score. Of circles, the larger class's radius
    would take a truck (3 m) for a duplicate of the car 2.7 m beside it, or a barrier (0.5 m) for one of the pedestrian
    0.4 m from it. A trailer hitched to its truck is some 8 m away from it, centre to centre.

    Args:
        boxes: (K, 9), x y z length width height yaw vx vy, metres and radians.
        scores: (K,).
        labels: (K,) class indices.
        score_threshold: least score that is kept; 0 is never kept.
        rules: one per class.

    Returns:
        Indices (M,) int64 of the boxes that stay, best first.

    Raises:
        ValueError: the arrays' shapes do not match, or a label has no rule.

    """
    if not len(boxes) == len(scores) == len(labels):
        raise ValueError(f"boxes, scores, labels must have one length, got {len(boxes)}, {len(scores)}, {len(labels)}")
    if boxes.ndim != 2 or boxes.shape[1] != BOX_SIZE:
        raise ValueError(f"boxes must have the shape (K, {BOX_SIZE}), got {boxes.shape}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(rules):
        raise ValueError(f"labels must lie in 0..{len(rules) - 1}, got {labels.min()}..{labels.max()}")
    places = np.ascontiguousarray(boxes, np.float32)
    confidence, classes = np.ascontiguousarray(scores, np.float32), np.ascontiguousarray(labels, np.int32)
    records = (ClassRuleRecord * len(rules))(
        *(ClassRuleRecord(rule.group, _OVERLAPS[rule.suppression], rule.limit, rule.scale) for rule in rules)
    )
    kept, count = np.empty(len(boxes), np.int32), ctypes.c_int32()
    inputs = (pointer(places), pointer(confidence), pointer(classes), len(boxes), score_threshold)
    outputs = (pointer(kept), ctypes.byref(count))
    workspace = cpu_workspace("select_boxes", len(boxes))
    call("select_boxes_cpu", *inputs, ctypes.byref(records), len(rules), *outputs, *workspace)
    return kept[: count.value].astype(np.int64)
