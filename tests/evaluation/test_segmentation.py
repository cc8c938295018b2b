"""Map IoU against cases counted by hand and against a plain restatement of the metric."""

import numpy as np
import pytest

from vexkd.classes import MAP_CLASSES
from vexkd.evaluation.segmentation import THRESHOLDS, MapIou


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_the_best_threshold_is_taken_by_class():
    labels = np.zeros((6, 1, 4), np.uint8)
    labels[:, 0, :2] = 1
    logits = np.full((6, 1, 4), -9.0, np.float32)
    logits[0, 0] = [9, 9, -9, -9]
    logits[1, 0] = [logit(0.42), 9, -9, -9]
    logits[2, 0] = [9, -9, 9, -9]
    logits[3, 0] = [logit(0.62), logit(0.62), logit(0.57), -9]
    counts = MapIou()
    counts.add(logits, labels)
    result = counts.result()
    assert [result["classes"][name]["IoU"] for name in MAP_CLASSES] == pytest.approx([1, 1, 1 / 3, 1, 0, 0])
    assert [result["classes"][name]["threshold"] for name in MAP_CLASSES[:4]] == [0.35, 0.35, 0.35, 0.60]
    assert result["mIoU"] == pytest.approx((3 + 1 / 3) / 6)


def test_cells_are_counted_over_all_keyframes_and_not_averaged():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 6, 8, 8)).astype(np.float32)
    labels = (rng.random((3, 6, 8, 8)) < 0.4).astype(np.uint8)
    counts = MapIou()
    for one_logits, one_labels in zip(logits, labels, strict=True):
        counts.add(one_logits, one_labels)
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    best = []
    for c in range(6):
        ious = []
        for threshold in THRESHOLDS:
            predicted, label = probability[:, c] >= threshold, labels[:, c] == 1
            ious.append((predicted & label).sum() / (predicted | label).sum())
        best.append(max(ious))
    assert counts.result()["mIoU"] == pytest.approx(np.mean(best))


def test_a_class_without_a_label_has_no_iou():
    labels = np.zeros((6, 2, 2), np.uint8)
    labels[0] = 1
    counts = MapIou()
    counts.add(np.full((6, 2, 2), 3.0, np.float32), labels)
    result = counts.result()
    assert result["classes"]["divider"]["IoU"] is None
    assert result["mIoU"] == 1.0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        MapIou().add(np.zeros((6, 4, 4), np.float32), np.zeros((6, 2, 2), np.uint8))
