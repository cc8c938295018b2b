"""From the decoded boxes of a network to those that are reported; semantics in include/vexkd/select_boxes.h."""

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import call, cpu_workspace, pointer
from vexkd.plugins.nms import BOX_SIZE

NUSCENES_RADII = (2.0, 3.0, 3.0, 3.0, 3.0, 0.5, 0.8, 0.8, 0.35, 0.35)
"""Metres within which two boxes of one class are one object, in the order of ``vexkd.classes.DETECTION_CLASSES``.

Somewhat under the closest distance at which two objects of the class stand side by side.
"""
LEAST_SCORE = float(np.finfo(np.float32).tiny)
"""Where a frame has fewer peaks than the decoder reports boxes, the rest are cells that are no peak, with score 0."""


def select_boxes(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    score_threshold: float,
    groups: Sequence[int],
    radii: Sequence[float] = NUSCENES_RADII,
) -> NDArray[np.int64]:
    """Score threshold, then circle suppression within each class, then among the classes of a group.

    Boxes are taken by descending score (equal scores: lower index first). Within a class, one whose centre lies nearer
    than the class's radius to a box that was taken is dropped. Those that are left are taken again: one that lies
    nearer to a taken box of another class of its group than the smaller of both classes' radii is dropped, so that one
    object is reported once, and under its best name. Scores of 0 and scores that are not finite are dropped.

    The smaller radius, because neither class is found that close to its own kind, so such a pair is one object with two
    names; and because it does not matter then which of the two has the better score. The larger class's radius would
    take a truck (3 m) for a duplicate of the car 2.7 m beside it, or a barrier (0.5 m) for one of the pedestrian 0.4 m
    from it. A trailer hitched to its truck is some 8 m away from it, centre to centre.

    Args:
        boxes: (K, >=2), columns x, y of the centre in metres first.
        scores: (K,).
        labels: (K,) class indices.
        score_threshold: least score that is kept; 0 is never kept.
        groups: one per class; classes with the same number are alternatives to each other.
        radii: metres, one per class.

    Returns:
        Indices (M,) int64 of the boxes that stay, best first.

    Raises:
        ValueError: the arrays' lengths differ, those of groups and radii do, or a label has no radius.

    """
    if not len(boxes) == len(scores) == len(labels):
        raise ValueError(f"boxes, scores, labels must have one length, got {len(boxes)}, {len(scores)}, {len(labels)}")
    if len(groups) != len(radii):
        raise ValueError(f"groups and radii must have one entry per class, got {len(groups)} and {len(radii)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(radii):
        raise ValueError(f"labels must lie in 0..{len(radii) - 1}, got {labels.min()}..{labels.max()}")
    centres = np.zeros((len(boxes), BOX_SIZE), np.float32)
    centres[:, :2] = boxes[:, :2]
    confidence, classes = np.ascontiguousarray(scores, np.float32), np.ascontiguousarray(labels, np.int32)
    names, limits = np.asarray(groups, np.int32), np.asarray(radii, np.float32)
    kept, count = np.empty(len(boxes), np.int32), ctypes.c_int32()
    inputs = (pointer(centres), pointer(confidence), pointer(classes), len(boxes), score_threshold)
    outputs = (pointer(kept), ctypes.byref(count))
    workspace = cpu_workspace("select_boxes", len(boxes))
    call("select_boxes_cpu", *inputs, pointer(names), pointer(limits), len(limits), *outputs, *workspace)
    return kept[: count.value].astype(np.int64)
