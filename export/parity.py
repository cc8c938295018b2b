"""How far an exported model is from the trained one, and how far it may be."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.manifest import BoxParity, OutputParity, Parity
from vexkd.plugins.postprocess import LEAST_SCORE

Arrays = Mapping[str, NDArray[Any]]


DENSE_OUTPUTS = ("probability", "codes")
"""What boxes are decoded from, (1, n, H, W) and (1, G, 10, H, W): traced for the parity check, not deployed."""


class Tolerance(NamedTuple):
    """What an export may differ by; beyond it, it is refused."""

    relative: float
    """Of an output's largest magnitude."""
    centre: float
    """Metres between paired boxes."""


TOLERANCES: dict[Literal["fp32", "fp16"], Tolerance] = {
    "fp32": Tolerance(relative=1e-3, centre=0.01),
    "fp16": Tolerance(relative=5e-2, centre=0.10),
}
FOLDING = Tolerance(relative=1e-4, centre=1e-3)
"""Folding batch normalisations changes rounding only."""
TINY = 1e-30
PAIRING = 0.5
"""Boxes of one class whose centres are further apart than this, in metres, are no pair."""


def measure_parity(reference: Arrays, found: Arrays, score_threshold: float, inputs: str, runtime: str) -> Parity:
    """Compare outputs by name: dense ones value by value, boxes in pairs.

    Where one side has no dense outputs, as a deployed model, the sorted scores stand for them.

    Args:
        reference: outputs of the trained model, see :class:`vexkd.export.deployment.Deployment`.
        found: outputs of the exported one.
        score_threshold: boxes under it are not looked at.
        inputs: what both ran on.
        runtime: what ran the exported one.
    """
    detection = "boxes" in reference
    dense = tuple(name for name in DENSE_OUTPUTS if name in reference and name in found) or ("scores",)
    compared = dense if detection else tuple(reference)
    outputs = {name: output_parity(reference[name], found[name]) for name in compared}
    boxes = None
    if detection:
        # Where two probabilities are closer than this, rounding may have swapped their order.
        boxes = box_parity(reference, found, score_threshold, slack=2 * outputs[compared[0]].max_abs)
    return Parity(inputs=inputs, runtime=runtime, outputs=outputs, boxes=boxes)


def output_parity(reference: NDArray[Any], found: NDArray[Any]) -> OutputParity:
    """Largest difference of one output; not-a-number on either side counts as infinitely far."""
    difference = np.abs(reference.astype(np.float64) - found.astype(np.float64))
    largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
    magnitude = float(np.abs(reference).max(initial=0.0))
    return OutputParity(max_abs=largest, max_rel=largest / max(magnitude, TINY))


def box_parity(reference: Arrays, found: Arrays, score_threshold: float, slack: float) -> BoxParity:
    """Pair the decisive boxes of either side with the nearest box of their class on the other.

    Of a side without its probabilities it is not known which boxes are decisive: if the other has them, only the
    other's are paired.
    """
    forth = _nearest(reference, found, score_threshold, slack)
    both = ("probability" in reference) == ("probability" in found)
    back = _nearest(found, reference, score_threshold, slack) if both else _Nearest(0, np.zeros(0), np.zeros(0))
    centres, scores = np.concatenate([forth.centre, back.centre]), np.concatenate([forth.score, back.score])
    paired = centres <= PAIRING
    return BoxParity(
        count=forth.boxes,
        ties=forth.boxes - len(forth.centre),
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
    if boxes.unmatched:
        told.append(f"{boxes.unmatched} of {boxes.count} boxes have no partner")
    return told


class _Nearest(NamedTuple):
    boxes: int
    """Those over the threshold, the decisive and the others."""
    centre: NDArray[np.float64]
    score: NDArray[np.float64]


def _nearest(one: Arrays, other: Arrays, threshold: float, slack: float) -> _Nearest:
    """Distance to the nearest partner and difference of scores, for each decisive box of ``one``.

    A box is decisive if rounding cannot undo it: its peak stands out of the neighbouring cells by ``slack``, and its
    score out of the threshold and out of the other list's end.
    """
    over = (one["scores"] >= threshold) & (one["scores"] >= LEAST_SCORE)
    floor = max(threshold, float(other["scores"].min(initial=1.0))) + slack
    chosen = over & (one["scores"] >= floor)
    if "probability" in one:
        chosen &= np.isin(one["scores"], _distinct_peaks(one["probability"], slack))
    centres = one["boxes"][chosen][:, None, :3].astype(np.float64) - other["boxes"][None, :, :3]
    distance = np.where(one["labels"][chosen][:, None] == other["labels"], np.linalg.norm(centres, axis=-1), np.inf)
    nearest = distance.argmin(axis=1)
    score = np.abs(one["scores"][chosen].astype(np.float64) - other["scores"][nearest])
    return _Nearest(int(over.sum()), distance[np.arange(len(nearest)), nearest], score)


def _distinct_peaks(probability: NDArray[np.floating], slack: float) -> NDArray[np.floating]:
    """Values of the cells that stand out of their eight neighbours by more than ``slack``: (P,)."""
    height, width = probability.shape[-2:]
    padded = np.pad(probability[0], ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    shifts = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    neighbours = [padded[:, row : row + height, column : column + width] for row, column in shifts]
    return probability[0][probability[0] > np.max(neighbours, axis=0) + slack]
