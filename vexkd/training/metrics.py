"""The metrics of a torch model on a data set."""

from functools import partial
from typing import Any

from vexkd.data.dataset import NuScenesDataset
from vexkd.evaluation.evaluate import Tracked, evaluate_detection, evaluate_segmentation
from vexkd.models.perception import Perception
from vexkd.training.predict import predict_boxes, predict_map


def evaluate_model(
    model: Perception,
    dataset: NuScenesDataset,
    match_radius: float | None = None,
    workers: int = 0,
    tracked: Tracked | None = None,
) -> dict[str, Any]:
    """Metrics of the model's task, see :mod:`vexkd.evaluation.evaluate`; the model must be in evaluation mode."""
    if model.task == "segmentation":
        return evaluate_segmentation(dataset, partial(predict_map, model), workers, tracked)
    return evaluate_detection(dataset, partial(predict_boxes, model), match_radius, workers, tracked).metrics
