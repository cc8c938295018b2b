"""A model over a data set: loads keyframes, predicts, and gathers the metrics of the task."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.nuscenes import NuScenes

from vexkd.data.sample import Sample
from vexkd.evaluation.boxes import Boxes, devkit_boxes
from vexkd.evaluation.detection import detection_metrics
from vexkd.evaluation.match import Truth, match_metrics
from vexkd.evaluation.segmentation import MapIou
from vexkd.plugins.errors import UserError

DetectionPredictor = Callable[[Sample], Boxes]
SegmentationPredictor = Callable[[Sample], NDArray[np.float32]]
Tracked = Callable[[Iterable[Sample], int], Iterable[Sample]]
"""Wraps the keyframes of a known number, to show progress."""


class Samples(Protocol):
    """What evaluation needs of a data set; :class:`vexkd.data.dataset.NuScenesDataset` is one."""

    nusc: NuScenes
    tokens: list[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class DetectionResult:
    """Metrics as a JSON-ready mapping, and the boxes they were computed from (global frame, per sample token)."""

    metrics: dict[str, Any]
    found: EvalBoxes


def evaluate_detection(
    dataset: Samples,
    predict: DetectionPredictor,
    match_radius: float | None = None,
    workers: int = 0,
    tracked: Tracked | None = None,
) -> DetectionResult:
    """mAP, NDS and true-positive errors; with ``match_radius`` (metres) also the key ``match``.

    Args:
        dataset: the keyframes.
        predict: gives the boxes of a keyframe in its ego frame, already free of duplicates.
        match_radius: see :func:`vexkd.evaluation.match.match_metrics`.
        workers: processes that load keyframes.
        tracked: shows progress.
    """
    found = EvalBoxes()
    pairs: list[tuple[Truth, Boxes]] = []
    for sample in _loaded(dataset, workers, tracked):
        boxes = predict(sample)
        found.add_boxes(sample.token, devkit_boxes(sample.token, boxes, sample.ego_to_global))
        if match_radius is not None:
            pairs.append((Truth(sample.boxes, sample.labels, sample.num_points), boxes))
    metrics = detection_metrics(dataset.nusc, found.sample_tokens, found)
    if match_radius is not None:
        metrics["match"] = match_metrics(pairs, match_radius)
    return DetectionResult(metrics, found)


def evaluate_segmentation(
    dataset: Samples, predict: SegmentationPredictor, workers: int = 0, tracked: Tracked | None = None
) -> dict[str, Any]:
    """Mean and per-class IoU; ``predict`` gives the logits (6, 200, 200) of a keyframe.

    Raises:
        UserError: the data set has no map labels.
    """
    counts = MapIou()
    for sample in _loaded(dataset, workers, tracked):
        if sample.map_labels is None:
            raise UserError(
                f"sample {sample.token} has no map labels: {dataset.nusc.dataroot} lacks the map expansion, which "
                "segmentation needs; add maps/expansion/*.json, or evaluate a detection model"
            )
        counts.add(predict(sample), sample.map_labels)
    return counts.result()


def _loaded(dataset: Samples, workers: int, tracked: Tracked | None) -> Iterator[Sample]:
    samples: Iterable[Sample] = (dataset[i] for i in range(len(dataset)))
    if workers and len(dataset) > 1:
        from torch.utils.data import DataLoader

        samples = DataLoader(dataset, batch_size=None, num_workers=workers)  # type: ignore[arg-type]
    seen: set[str] = set()
    for sample in tracked(samples, len(dataset)) if tracked else samples:
        # A data set that skips damage gives the next sound keyframe in a damaged one's place.
        if sample.token not in seen:
            seen.add(sample.token)
            yield sample
