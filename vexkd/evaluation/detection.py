"""The official nuScenes detection metric (detection_cvpr_2019) on boxes in memory, by the devkit's own code."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes, load_gt_of_sample_tokens
from nuscenes.eval.detection.algo import accumulate, calc_ap, calc_tp
from nuscenes.eval.detection.constants import TP_METRICS
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionConfig, DetectionMetrics
from nuscenes.nuscenes import NuScenes

from vexkd.classes import DETECTION_CLASSES

ERRORS = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}
"""The devkit's names of the true-positive errors and the names the tables show (m, 1 - IoU, rad, m/s, 1 - accuracy)."""

_UNDEFINED = {"traffic_cone": {"attr_err", "vel_err", "orient_err"}, "barrier": {"attr_err", "vel_err"}}


def detection_metrics(nusc: NuScenes, tokens: Sequence[str], found: EvalBoxes) -> dict[str, Any]:
    """mAP, NDS and the five true-positive errors over the keyframes ``tokens``, overall and per class.

    Args:
        nusc: the devkit's tables, which hold the ground truth.
        tokens: sample tokens; ``found`` must hold an entry, perhaps an empty one, for each of them.
        found: predictions in the global frame; left as they are.

    Returns:
        ``{"mAP", "NDS", "mATE", ..., "classes": {name: {"AP", "ATE", ...}}}``; an error that the metric does not
        define for a class is None.
    """
    config = config_factory("detection_cvpr_2019")
    assert isinstance(config, DetectionConfig)
    truth = _filtered(nusc, load_gt_of_sample_tokens(nusc, list(tokens), DetectionBox), config)
    predicted = _filtered(nusc, copy.deepcopy(found), config)
    metrics = DetectionMetrics(config)
    for name in config.class_names:
        for distance in config.dist_ths:
            data = accumulate(truth, predicted, name, config.dist_fcn_callable, distance)
            metrics.add_label_ap(name, distance, calc_ap(data, config.min_recall, config.min_precision))
            if distance == config.dist_th_tp:
                for error in TP_METRICS:
                    undefined = error in _UNDEFINED.get(name, ())
                    value = np.nan if undefined else calc_tp(data, config.min_recall, error)
                    metrics.add_label_tp(name, error, value)
    return _summary(metrics.serialize())


def _filtered(nusc: NuScenes, boxes: EvalBoxes, config: DetectionConfig) -> EvalBoxes:
    """Range, point-count and bike-rack filter of the devkit, which cannot take a set without a single box."""
    return filter_eval_boxes(nusc, add_center_dist(nusc, boxes), dict(config.class_range)) if boxes.all else boxes


def _summary(content: dict[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"mAP": content["mean_ap"], "NDS": content["nd_score"]}
    summary |= {f"m{short}": _number(content["tp_errors"][error]) for error, short in ERRORS.items()}
    summary["classes"] = {
        name: {"AP": content["mean_dist_aps"][name]}
        | {short: _number(content["label_tp_errors"][name][error]) for error, short in ERRORS.items()}
        for name in DETECTION_CLASSES
    }
    return summary


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
