"""Predicted boxes of one keyframe, and their way into the devkit's boxes and the nuScenes submission file."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.detection.data_classes import DetectionBox

from vexkd.data.boxes import submission_boxes
from vexkd.geometry import VX
from vexkd.plugins.files import write_text

MAX_BOXES = 500
"""nuScenes accepts this many boxes for one keyframe."""


class Boxes(NamedTuple):
    """Predicted boxes of one keyframe in the ego frame, best first.

    Attributes:
        boxes: (K, 9) float32, columns as in :mod:`vexkd.geometry`.
        scores: (K,) float32 in 0..1.
        labels: (K,) int into ``DETECTION_CLASSES``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.integer]


def devkit_boxes(token: str, found: Boxes, ego_to_global: NDArray[np.float64]) -> list[DetectionBox]:
    """Boxes of the keyframe ``token`` as the devkit's boxes in the global frame, the best ``MAX_BOXES`` of them.

    A box whose place or size is not finite is left out: the devkit refuses it.
    """
    order = np.argsort(-found.scores, kind="stable")
    order = order[np.isfinite(found.boxes[order][:, :VX]).all(axis=1)][:MAX_BOXES]
    records = submission_boxes(found.boxes[order], found.scores[order], found.labels[order], ego_to_global, token)
    return [DetectionBox.deserialize(record) for record in records]


def write_submission(path: Path, found: EvalBoxes, camera: bool, lidar: bool) -> None:
    """Write the nuScenes detection submission, global frame; ``camera`` and ``lidar`` say what the model used."""
    used = {"use_camera": camera, "use_lidar": lidar, "use_radar": False, "use_map": False, "use_external": False}
    results = {token: [_record(box) for box in boxes] for token, boxes in found.boxes.items()}
    write_text(path, json.dumps({"meta": used, "results": results}))


def _record(box: DetectionBox) -> dict[str, object]:
    content: dict[str, object] = box.serialize()
    return {key: value for key, value in content.items() if key not in ("ego_translation", "num_pts")}
