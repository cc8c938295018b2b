"""Map-segmentation IoU as BEVFusion computes it: per class the best over thresholds, then the mean over classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import MAP_CLASSES

THRESHOLDS = (0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65)


class MapIou:
    """Counts cells over keyframes; :meth:`result` gives the metric."""

    def __init__(self) -> None:
        shape = (len(MAP_CLASSES), len(THRESHOLDS))
        self._both = np.zeros(shape, dtype=np.int64)
        self._either = np.zeros(shape, dtype=np.int64)
        self._labelled = np.zeros(len(MAP_CLASSES), dtype=np.int64)

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Count one keyframe: logits and 0/1 labels, both (6, H, W) in the order of ``MAP_CLASSES``."""
        if logits.shape != labels.shape or len(logits) != len(MAP_CLASSES):
            raise ValueError(f"expected logits and labels of one shape (6, H, W), got {logits.shape}, {labels.shape}")
        label = labels.astype(bool)
        self._labelled += label.sum(axis=(1, 2))
        for column, threshold in enumerate(THRESHOLDS):
            predicted = logits >= np.float32(np.log(threshold / (1 - threshold)))
            self._both[:, column] += (predicted & label).sum(axis=(1, 2))
            self._either[:, column] += (predicted | label).sum(axis=(1, 2))

    def result(self) -> dict[str, Any]:
        """``{"mIoU", "classes": {name: {"IoU", "threshold"}}}``.

        A class without one labelled cell in the whole data has no IoU (None) and is left out of the mean.
        """
        classes: dict[str, dict[str, float | None]] = {}
        for row, name in enumerate(MAP_CLASSES):
            iou = self._both[row] / np.maximum(self._either[row], 1)
            best = int(np.argmax(iou))
            known = bool(self._labelled[row])
            classes[name] = {"IoU": float(iou[best]), "threshold": THRESHOLDS[best]} if known else _UNKNOWN
        known_ious = [value["IoU"] for value in classes.values() if value["IoU"] is not None]
        return {"mIoU": float(np.mean(known_ious)) if known_ious else None, "classes": classes}


_UNKNOWN: dict[str, float | None] = {"IoU": None, "threshold": None}
