"""From the decoded boxes of a network to those that are reported."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.nms import BOX_SIZE, nms

NUSCENES_RADII = (2.0, 3.0, 3.0, 3.0, 3.0, 0.5, 0.8, 0.8, 0.35, 0.35)
"""Metres within which two boxes of one class are one object, in the order of ``vexkd.classes.DETECTION_CLASSES``.

Somewhat under the closest distance at which two objects of the class stand side by side.
"""


def select_boxes(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    score_threshold: float,
    radii: Sequence[float] = NUSCENES_RADII,
) -> NDArray[np.int64]:
    """Score threshold, then circle suppression per class.

    Boxes are taken by descending score (equal scores: lower index first); one whose centre lies nearer than its
    class's radius to a box of the same class that was taken is dropped. Scores that are not finite are dropped.

    Args:
        boxes: (K, >=2), columns x, y of the centre in metres first.
        scores: (K,).
        labels: (K,) class indices.
        score_threshold: least score that is kept.
        radii: metres, one per class.

    Returns:
        Indices (M,) int64 of the boxes that stay, best first.

    Raises:
        ValueError: the arrays' lengths differ, or a label has no radius.

    """
    if not len(boxes) == len(scores) == len(labels):
        raise ValueError(f"boxes, scores, labels must have one length, got {len(boxes)}, {len(scores)}, {len(labels)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(radii):
        raise ValueError(f"labels must lie in 0..{len(radii) - 1}, got {labels.min()}..{labels.max()}")
    centres = np.zeros((len(boxes), BOX_SIZE), np.float32)
    centres[:, :2] = boxes[:, :2]
    kept = nms(centres, scores.astype(np.float32), labels.astype(np.int32), "circle", radii, score_threshold)
    return kept.astype(np.int64)
