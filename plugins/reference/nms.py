"""Non-maximum suppression in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.nms import Overlap

X, Y, LENGTH, WIDTH, YAW = 0, 1, 3, 4, 6


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    groups: NDArray[np.int32],
    overlap: Overlap,
    thresholds: Sequence[float],
    score_threshold: float = -np.inf,
) -> NDArray[np.int32]:
    """Indices of the boxes that stay, best first."""
    limits = np.asarray(thresholds, np.float32).astype(np.float64)
    columns = [X, Y] if overlap == "circle" else [X, Y, LENGTH, WIDTH, YAW]
    usable = np.isfinite(boxes[:, columns]).all(axis=1) & np.isfinite(scores) & (scores >= score_threshold)
    usable &= (groups >= 0) & (groups < len(limits))
    kept: list[int] = []
    for box in np.argsort(-scores, kind="stable"):
        rivals = [better for better in kept if groups[better] == groups[box]]
        if usable[box] and not any(
            overlaps(boxes[better], boxes[box], overlap, limits[groups[box]]) for better in rivals
        ):
            kept.append(int(box))
    return np.array(kept, np.int32)


def rotated_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union (N, M) of the footprints of boxes (N, 9) and (M, 9)."""
    return np.array([[_iou(one, other) for other in second] for one in first], np.float32).reshape(len(first), -1)


def overlaps(better: NDArray[np.floating], box: NDArray[np.floating], overlap: Overlap, limit: float) -> bool:
    """Whether a box gives way to a better one."""
    if overlap == "rotated":
        return bool(_iou(better, box) > limit)
    x, y = better[:2].astype(np.float64) - box[:2]
    return bool(limit > 0 and x * x + y * y < limit * limit)


def _iou(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    boxes = np.stack([one, other]).astype(np.float64)
    if not np.isfinite(boxes[:, [X, Y, LENGTH, WIDTH, YAW]]).all() or boxes[:, [LENGTH, WIDTH]].min() <= 0:
        return 0.0
    corners = [_corners(box) for box in boxes]
    common = corners[0]
    for start, end in zip(corners[1], np.roll(corners[1], -1, axis=0), strict=True):
        common = _clip(common, start, end)
    areas = boxes[:, LENGTH] * boxes[:, WIDTH]
    shared = min(_area(common), float(areas.min()))
    return shared / (float(areas.sum()) - shared)


def _corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 2) counter-clockwise."""
    local = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * box[[LENGTH, WIDTH]] / 2
    cos, sin = np.cos(box[YAW]), np.sin(box[YAW])
    return local @ np.array([[cos, sin], [-sin, cos]]) + box[:2]


def _clip(polygon: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon (n, 2) left of the line from start to end."""
    normal = np.array([start[1] - end[1], end[0] - start[0]])
    side = (polygon - start) @ normal
    corners = []
    for index in range(len(polygon)):
        after = (index + 1) % len(polygon)
        if side[index] >= 0:
            corners.append(polygon[index])
        if (side[index] >= 0) != (side[after] >= 0):
            share = side[index] / (side[index] - side[after])
            corners.append(polygon[index] + share * (polygon[after] - polygon[index]))
    return np.array(corners).reshape(-1, 2)


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon.T
    return max(0.0, float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2))
