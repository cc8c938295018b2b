"""How far an exported model is from the trained one, and how far it may be."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.bundle import BoxParity, OutputParity, Parity

Arrays = Mapping[str, NDArray[Any]]


class Tolerance(NamedTuple):
    """What an export may differ by; beyond it, it is refused."""

    relative: float
    """Of an output's largest magnitude."""
    centre: float
    """Metres between paired boxes."""
    score: float
    """How far below the threshold the partner of a box may score."""
    unmatched: float
    """Fraction of boxes without a partner within ``PAIRING``: near ties between neighbouring peaks, and boxes at the
    threshold, go either way."""


TOLERANCES: dict[Literal["fp32", "fp16"], Tolerance] = {
    "fp32": Tolerance(relative=1e-3, centre=0.01, score=0.001, unmatched=0.0),
    "fp16": Tolerance(relative=5e-2, centre=0.10, score=0.03, unmatched=0.05),
}
FOLDING = Tolerance(relative=1e-4, centre=1e-3, score=1e-4, unmatched=0.0)
"""Folding batch normalisations changes rounding only."""
TINY = 1e-30
PAIRING = 0.5
"""Boxes of one class whose centres are further apart than this, in metres, are no pair."""


def measure_parity(
    reference: Arrays, found: Arrays, score_threshold: float, slack: float, inputs: str, runtime: str
) -> Parity:
    """Compare outputs by name; boxes of a detection model are paired.

    Args:
        reference: outputs of the trained model.
        found: outputs of the exported one.
        score_threshold: boxes of the reference under it are not looked at.
        slack: how far below the threshold a partner's score may lie.
        inputs: what both ran on.
        runtime: what ran the exported one.
    """
    detection = "boxes" in reference
    compared = ["scores"] if detection else list(reference)
    return Parity(
        inputs=inputs,
        runtime=runtime,
        outputs={name: output_parity(reference[name], found[name]) for name in compared},
        boxes=box_parity(reference, found, score_threshold, slack) if detection else None,
    )


def output_parity(reference: NDArray[Any], found: NDArray[Any]) -> OutputParity:
    """Largest difference of one output; not-a-number on either side counts as infinitely far."""
    difference = np.abs(reference.astype(np.float64) - found.astype(np.float64))
    largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
    magnitude = float(np.abs(reference).max(initial=0.0))
    return OutputParity(max_abs=largest, max_rel=largest / max(magnitude, TINY))


def box_parity(reference: Arrays, found: Arrays, score_threshold: float, slack: float) -> BoxParity:
    """Pair each reference box over the threshold with the nearest found box of its class, both ways round."""
    forth = _distances(reference, found, score_threshold, slack)
    back = _distances(found, reference, score_threshold, slack)
    paired = np.concatenate([forth.centre, back.centre]) <= PAIRING
    centres, scores = np.concatenate([forth.centre, back.centre]), np.concatenate([forth.score, back.score])
    return BoxParity(
        count=len(forth.centre),
        unmatched=int((~paired).sum()),
        max_centre=float(centres[paired].max(initial=0.0)),
        max_score=float(scores[paired].max(initial=0.0)),
    )


def failures(parity: Parity, tolerance: Tolerance) -> list[str]:
    """What is beyond the tolerance, in words; empty if nothing is."""
    told = [
        f"{name} differs by {value.max_rel:.2e} of its magnitude, allowed is {tolerance.relative:.0e}"
        for name, value in parity.outputs.items()
        if not value.max_rel <= tolerance.relative
    ]
    boxes = parity.boxes
    if boxes is None:
        return told
    if boxes.max_centre > tolerance.centre:
        told.append(f"a box lies {boxes.max_centre:.3f} m off, allowed is {tolerance.centre} m")
    allowed = int(tolerance.unmatched * boxes.count)
    if boxes.unmatched > allowed:
        told.append(f"{boxes.unmatched} of {boxes.count} boxes have no partner, allowed is {allowed}")
    return told


class _Nearest(NamedTuple):
    centre: NDArray[np.float64]
    score: NDArray[np.float64]


def _distances(one: Arrays, other: Arrays, threshold: float, slack: float) -> _Nearest:
    # The last of a full list may have been displaced on the other side.
    floor = max(threshold, float(other["scores"].min(initial=1.0)) + slack)
    chosen = one["scores"] >= floor
    centres = one["boxes"][chosen][:, None, :3].astype(np.float64) - other["boxes"][None, :, :3]
    distance = np.linalg.norm(centres, axis=-1)
    fits = (one["labels"][chosen][:, None] == other["labels"][None]) & (other["scores"] >= threshold - slack)[None]
    distance = np.where(fits, distance, np.inf)
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(nearest))
    score = np.abs(one["scores"][chosen].astype(np.float64) - other["scores"][nearest])
    return _Nearest(distance[rows, nearest], score)
