"""How many annotated objects a detector finds: recall and precision within a radius at one score threshold.

A plainer question than the official metric's, and a stricter one in a crowd: right class, centre within ``radius``
metres, at a precision that makes the boxes usable.

Counted objects are those with at least ``min_points`` LiDAR points within ``max_range`` metres of the ego. Predictions
are taken by falling score; each takes the nearest counted object of its class that is still free and closer than the
radius (a true positive), else the nearest such object among those not counted (then it is left out of the count, as is
a prediction beyond the range), else it is a false positive. The threshold is the lowest score at which precision still
reaches ``min_precision``.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import DETECTION_CLASSES
from vexkd.evaluation.boxes import Boxes

_IGNORED, _FALSE, _TRUE = -1, 0, 1


class Truth(NamedTuple):
    """Annotated objects of one keyframe in the ego frame: boxes (M, 9), labels (M,), LiDAR points in each (M,)."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_points: NDArray[np.int64]


def match_metrics(
    pairs: Iterable[tuple[Truth, Boxes]],
    radius: float,
    max_range: float = 51.2,
    min_points: int = 5,
    min_precision: float = 0.8,
) -> dict[str, Any]:
    """Recall and precision over keyframes, overall and per class, at the threshold described on top of this file.

    Returns:
        ``{"radius", "max_range", "min_points", "min_precision", "threshold", "recall", "precision", "objects",
        "found", "false", "classes": {name: {"recall", "precision", "objects", "found", "false"}}}``. ``threshold`` is
        None and nothing is found when no score reaches ``min_precision``; a ratio without a denominator is None;
        classes that neither occur nor are predicted are left out.
    """
    objects = np.zeros(len(DETECTION_CLASSES), dtype=np.int64)
    scores, labels, outcomes = [], [], []
    for truth, found in pairs:
        counted = (truth.num_points >= min_points) & (_distance(truth.boxes) <= max_range)
        np.add.at(objects, truth.labels[counted], 1)
        outcomes.append(match_boxes(truth, found, counted, radius, max_range))
        scores.append(found.scores)
        labels.append(found.labels)
    score, label, outcome = (np.concatenate([np.zeros(0), *parts]) for parts in (scores, labels, outcomes))
    threshold = lowest_threshold(score, outcome, min_precision)
    kept = score >= threshold if threshold is not None else np.zeros(len(score), dtype=bool)
    per_class = {name: _ratios(objects[i], outcome[kept & (label == i)]) for i, name in enumerate(DETECTION_CLASSES)}
    rule = {"radius": radius, "max_range": max_range, "min_points": min_points, "min_precision": min_precision}
    shown = {name: row for name, row in per_class.items() if row["objects"] or row["false"]}
    return rule | {"threshold": threshold} | _ratios(objects.sum(), outcome[kept]) | {"classes": shown}


def match_boxes(
    truth: Truth, found: Boxes, counted: NDArray[np.bool_], radius: float, max_range: float
) -> NDArray[np.int64]:
    """Outcome of each predicted box of one keyframe: 1 true, 0 false, -1 left out."""
    outcome = np.full(len(found.scores), _FALSE, dtype=np.int64)
    free = np.ones(len(truth.labels), dtype=bool)
    for i in np.argsort(-found.scores, kind="stable"):
        distance = np.linalg.norm(truth.boxes[:, :2] - found.boxes[i, :2], axis=1)
        near = free & (truth.labels == found.labels[i]) & (distance <= radius)
        for candidates, result in ((near & counted, _TRUE), (near & ~counted, _IGNORED)):
            if candidates.any():
                taken = int(np.argmin(np.where(candidates, distance, np.inf)))
                free[taken] = False
                outcome[i] = result
                break
    outcome[(outcome == _FALSE) & (_distance(found.boxes) > max_range)] = _IGNORED
    return outcome


def lowest_threshold(scores: NDArray[Any], outcomes: NDArray[Any], min_precision: float) -> float | None:
    """The lowest score at which the boxes at and above it reach the precision; None when there is no such score."""
    order = np.argsort(-scores, kind="stable")
    score, true = scores[order], np.cumsum(outcomes[order] == _TRUE)
    total = np.cumsum(outcomes[order] != _IGNORED)
    last_of_score = np.append(score[1:] != score[:-1], True)[: len(score)]
    good = last_of_score & (true > 0) & (true >= min_precision * total)
    return float(score[np.flatnonzero(good)[-1]]) if good.any() else None


def _distance(boxes: NDArray[Any]) -> NDArray[Any]:
    return np.hypot(boxes[:, 0], boxes[:, 1])


def _ratios(objects: int, outcomes: NDArray[Any]) -> dict[str, Any]:
    found, false = int((outcomes == _TRUE).sum()), int((outcomes == _FALSE).sum())
    return {
        "recall": found / int(objects) if objects else None,
        "precision": found / (found + false) if found + false else None,
        "objects": int(objects),
        "found": found,
        "false": false,
    }
