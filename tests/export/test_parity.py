"""Parity is measured both ways and refuses what it should."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vexkd.export.parity import TOLERANCES, box_parity, failures, measure_parity, output_parity

STRICT = TOLERANCES["fp32"]
Outputs = dict[str, NDArray[Any]]
PEAKS, CLASSES, SIZE = 17, 10, 40


def outputs() -> Outputs:
    """A list of 20 boxes: peaks that stand alone, on every other row, and three empty places at the end."""
    rng = np.random.default_rng(0)
    boxes = rng.uniform(-50, 50, (20, 9)).astype(np.float32)
    scores = np.zeros(20, np.float32)
    scores[:PEAKS] = np.sort(rng.uniform(0.2, 0.9, PEAKS))[::-1]
    labels = rng.integers(0, CLASSES, 20).astype(np.int32)
    probability = np.full((1, CLASSES, SIZE, SIZE), 0.01, np.float32)
    for number in range(PEAKS):
        probability[0, labels[number], 2 * number + 1, 5] = scores[number]
    codes = rng.normal(size=(1, 6, 10, SIZE, SIZE)).astype(np.float32)
    return {"boxes": boxes, "scores": scores, "labels": labels, "probability": probability, "codes": codes}


def told(reference: Outputs, found: Outputs) -> list[str]:
    return failures(measure_parity(reference, found, 0.1, "here", "there"), STRICT)


def test_the_same_is_the_same() -> None:
    parity = box_parity(outputs(), outputs(), 0.1, 0.001)
    assert (parity.count, parity.ties, parity.unmatched, parity.max_centre, parity.max_score) == (PEAKS, 0, 0, 0, 0)
    assert told(outputs(), outputs()) == []


def test_what_is_no_peak_is_no_box() -> None:
    parity = box_parity(outputs(), outputs(), 0.0, 0.001)
    assert (parity.count, parity.unmatched) == (PEAKS, 0)


def test_order_does_not_matter() -> None:
    found = outputs()
    order = np.random.default_rng(1).permutation(PEAKS)
    for name in ("boxes", "labels", "scores"):
        found[name][:PEAKS] = found[name][:PEAKS][order]
    assert told(outputs(), found) == []


def test_a_moved_box_is_measured_and_refused() -> None:
    found = outputs()
    found["boxes"][4, 0] += 0.25
    parity = box_parity(outputs(), found, 0.1, 0.001)
    assert parity.max_centre == pytest.approx(0.25, abs=1e-4) and parity.unmatched == 0
    assert "0.250 m off" in told(outputs(), found)[0]


def test_a_lost_box_a_new_box_and_another_class_have_no_partner() -> None:
    lost = outputs()
    lost["boxes"][16] = 1000
    assert box_parity(outputs(), lost, 0.1, 0.001).unmatched == 2
    assert box_parity(lost, outputs(), 0.1, 0.001).unmatched == 2
    another = outputs()
    another["labels"][3] = (another["labels"][3] + 1) % CLASSES
    assert "2 of 17 boxes have no partner" in told(outputs(), another)


def test_near_ties_are_counted_and_not_paired() -> None:
    reference, found = outputs(), outputs()
    for side, value in ((reference, 0.0), (found, 0.0004)):
        side["probability"][0, side["labels"][2], 5, 6] = side["scores"][2] - 0.0002 + value
    # The neighbouring cell has become the peak: another place, a score that differs by rounding.
    found["boxes"][2, 0] += 0.8
    parity = measure_parity(reference, found, 0.1, "here", "there").boxes
    assert parity is not None and parity.ties == 1 and parity.unmatched == 0 and parity.max_centre == 0


def test_what_is_not_a_number_is_refused() -> None:
    reference = {"logits": np.ones((6, 4, 4), np.float32)}
    broken = {"logits": np.ones((6, 4, 4), np.float32)}
    broken["logits"][0, 0, 0] = np.nan
    assert output_parity(reference["logits"], broken["logits"]).max_abs == np.inf
    assert told(reference, broken)
    found = outputs()
    found["boxes"][2, 1] = np.nan
    assert any("have no partner" in line for line in told(outputs(), found))
    found = outputs()
    found["probability"][0, 0, 0, 0] = np.nan
    assert any("probability differs by inf" in line for line in told(outputs(), found))


def test_a_map_that_differs_is_refused() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 8, 8)).astype(np.float32)
    off = logits + np.float32(0.01 * np.abs(logits).max())
    assert told({"logits": logits}, {"logits": logits}) == []
    assert "logits differs by 1.00e-02" in told({"logits": logits}, {"logits": off})[0]
