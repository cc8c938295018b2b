"""Evaluation as the command line offers it: one model, one split, all metrics of its task, perhaps a submission."""

from pathlib import Path
from typing import Any, NamedTuple

from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.evaluation.boxes import write_submission
from vexkd.evaluation.evaluate import (
    DetectionPredictor,
    SegmentationPredictor,
    Tracked,
    evaluate_detection,
    evaluate_segmentation,
)
from vexkd.plugins.errors import UserError


class Predictor(NamedTuple):
    """A model, whatever runs it: a predictor of boxes or one of map logits, and the sensors it reads."""

    detect: DetectionPredictor | None
    segment: SegmentationPredictor | None
    camera: bool
    lidar: bool


def evaluate_split(
    predictor: Predictor,
    data: DataConfig,
    split: str,
    match_radius: float | None = None,
    submission: Path | None = None,
    tracked: Tracked | None = None,
) -> dict[str, Any]:
    """Metrics of a model on a split, see :mod:`vexkd.evaluation.evaluate`.

    Raises:
        UserError: wrong data, or an option that belongs to detection with a segmentation model.
    """
    if match_radius is not None and not match_radius > 0:
        raise UserError(f"--match takes a radius in metres above 0, got {match_radius}")
    if predictor.detect is None and (match_radius is not None or submission is not None):
        raise UserError("--match and --submission belong to detection; this model does segmentation")
    dataset = NuScenesDataset(data, split, images=predictor.camera, map_labels=predictor.segment is not None)
    if predictor.segment is not None:
        return evaluate_segmentation(dataset, predictor.segment, data.workers, tracked)
    assert predictor.detect is not None
    result = evaluate_detection(dataset, predictor.detect, match_radius, data.workers, tracked)
    if submission is not None:
        write_submission(submission, result.found, predictor.camera, predictor.lidar)
    return result.metrics
