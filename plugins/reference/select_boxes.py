"""Selection of the boxes that are reported, in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.reference.nms import nms


def select_boxes(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    score_threshold: float,
    groups: Sequence[int],
    radii: Sequence[float],
) -> NDArray[np.int64]:
    """Indices of the boxes that stay, best first."""
    least = max(score_threshold, float(np.finfo(np.float32).tiny))
    kept = nms(boxes, scores, labels, "circle", radii, least).astype(np.int64)
    stays = _best_names(boxes[kept, :2], labels[kept], np.asarray(groups), np.asarray(radii, np.float32))
    return kept[stays]


def _best_names(
    centres: NDArray[np.float32], labels: NDArray[np.integer], groups: NDArray[np.integer], radii: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which of the boxes (M,), best first, are not a better one's object under another class of its group."""
    apart = np.square(centres[:, None].astype(np.float64) - centres).sum(axis=-1)
    reach = np.maximum(radii[labels].astype(np.float64), 0.0)
    rivals = (apart < np.square(np.minimum(reach[:, None], reach))) & (groups[labels][:, None] == groups[labels])
    rivals &= labels[:, None] != labels
    better = np.tril(rivals, -1)
    stays = np.ones(len(labels), np.bool_)
    for box in np.flatnonzero(better.any(axis=1)):
        stays[box] = not (better[box] & stays).any()
    return stays
