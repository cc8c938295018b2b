"""A torch model as the predictor functions that evaluation takes."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vexkd.data.collate import collate
from vexkd.data.sample import Sample
from vexkd.evaluation.boxes import Boxes
from vexkd.evaluation.run import Predictor
from vexkd.models.inputs import Output
from vexkd.models.perception import Perception
from vexkd.models.selection import class_rules
from vexkd.plugins.postprocess import select_boxes


def model_predictor(model: Perception) -> Predictor:
    """A model in evaluation mode, where it is."""
    detection = model.task == "detection"
    return Predictor(
        detect=partial(predict_boxes, model) if detection else None,
        segment=None if detection else partial(predict_map, model),
        camera=model.camera is not None,
        lidar=model.lidar is not None,
    )


def predict_boxes(model: Perception, sample: Sample, score_threshold: float = 0.0) -> Boxes:
    """Boxes of a detection model for one keyframe, duplicates suppressed, best first."""
    boxes, scores, labels = (part[0].cpu().numpy() for part in model.decode(_run(model, sample)))
    kept = select_boxes(boxes, scores, labels, score_threshold, class_rules(model.config.head))
    return Boxes(boxes[kept], scores[kept], labels[kept])


def predict_map(model: Perception, sample: Sample) -> NDArray[np.float32]:
    """Logits (6, 200, 200) of a segmentation model for one keyframe."""
    logits = _run(model, sample).prediction
    if not isinstance(logits, Tensor):
        raise ValueError("predict_map needs a segmentation model")
    result: NDArray[np.float32] = logits[0].float().cpu().numpy()
    return result


@torch.inference_mode()
def _run(model: Perception, sample: Sample) -> Output:
    device = next(model.parameters()).device
    output: Output = model(collate([sample], model.config).to(device).inputs)
    return output
