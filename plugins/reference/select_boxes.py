"""Selection of the boxes that are reported, in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.postprocess import ClassRule
from vexkd.plugins.reference.nms import LENGTH, WIDTH, YAW, X, Y, overlaps


def select_boxes(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    score_threshold: float,
    rules: Sequence[ClassRule],
) -> NDArray[np.int64]:
    """Indices of the boxes that stay, best first."""
    limits = [float(np.float32(rule.limit)) for rule in rules]
    usable = np.isfinite(scores) & (scores >= max(score_threshold, float(np.finfo(np.float32).tiny)))
    known = [box for box in range(len(boxes)) if usable[box] and _finite(boxes[box], rules[labels[box]])]
    sized = boxes.astype(np.float64)
    for box in known:
        sized[box, [LENGTH, WIDTH]] *= np.float32(rules[labels[box]].scale)

    def meet(one: int, other: int, by: int) -> bool:
        return overlaps(
            sized[one], sized[other], "circle" if rules[by].suppression == "circle" else "rotated", limits[by]
        )

    def alternatives(one: int, other: int) -> bool:
        first, second = rules[labels[one]], rules[labels[other]]
        same = (first.suppression == "circle") == (second.suppression == "circle")
        return labels[one] != labels[other] and first.group == second.group and same

    found: list[int] = []
    for box in sorted(known, key=lambda box: (-scores[box], box)):
        if not any(labels[better] == labels[box] and meet(better, box, labels[box]) for better in found):
            found.append(box)
    stays: list[int] = []
    for box in found:
        rivals = [better for better in stays if alternatives(better, box)]
        if not any(meet(better, box, labels[box]) and meet(better, box, labels[better]) for better in rivals):
            stays.append(box)
    return np.array(stays, np.int64)


def _finite(box: NDArray[np.float32], rule: ClassRule) -> bool:
    columns = [X, Y] if rule.suppression == "circle" else [X, Y, LENGTH, WIDTH, YAW]
    return bool(np.isfinite(box[columns]).all())
