"""Non-maximum suppression in bird's-eye view on the CPU kernel; semantics in include/vexkd/nms.h."""

import ctypes
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import call, cpu_workspace, dense, pointer

BOX_SIZE = 9
Overlap = Literal["circle", "rotated"]
_CODES = {"circle": 0, "rotated": 1}


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    groups: NDArray[np.int32],
    overlap: Overlap,
    thresholds: Sequence[float],
    score_threshold: float = -np.inf,
) -> NDArray[np.int32]:
    """Greedy suppression by descending score within groups.

    Args:
        boxes: (K, 9) float32, x y z length width height yaw vx vy, metres and radians.
        scores: (K,) float32; those that are not finite are dropped.
        groups: (K,) int32 into ``thresholds``; boxes of different groups do not meet.
        overlap: ``circle``: centre distance below the threshold in metres; ``rotated``: IoU of the footprints above it.
        thresholds: one per group.
        score_threshold: least score that is kept.

    Returns:
        Indices (M,) int32 of the boxes that stay, best first.

    Raises:
        ValueError: a wrong dtype or shape.
    """
    boxes = dense(boxes, np.float32, (None, BOX_SIZE), "boxes")
    scores = dense(scores, np.float32, (len(boxes),), "scores")
    groups = dense(groups, np.int32, (len(boxes),), "groups")
    limits = np.asarray(thresholds, np.float32)
    kept = np.empty(len(boxes), np.int32)
    count = ctypes.c_int32()
    inputs = (pointer(boxes), pointer(scores), pointer(groups), len(boxes), _CODES[overlap])
    outputs = (pointer(kept), ctypes.byref(count))
    workspace = cpu_workspace("nms", len(boxes))
    call("nms_cpu", *inputs, pointer(limits), len(limits), score_threshold, *outputs, *workspace)
    return kept[: count.value]


def rotated_iou(first: NDArray[np.float32], second: NDArray[np.float32], threads: int = 0) -> NDArray[np.float32]:
    """Intersection over union (N, M) float32 of the footprints of boxes (N, 9) and (M, 9)."""
    first = dense(first, np.float32, (None, BOX_SIZE), "first")
    second = dense(second, np.float32, (None, BOX_SIZE), "second")
    iou = np.empty((len(first), len(second)), np.float32)
    call("rotated_iou_cpu", pointer(first), len(first), pointer(second), len(second), pointer(iou), threads)
    return iou
