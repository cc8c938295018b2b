"""What exports of a run are held against: annotated keyframes, and what the trained model reaches on them."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import vexkd
from vexkd.config import Config
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.evaluation.evaluate import evaluate_detection, evaluate_segmentation
from vexkd.evaluation.run import Predictor
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256, write_text
from vexkd.training.machine import git_commit
from vexkd.training.predict import model_predictor
from vexkd.training.run import CONFIG, WEIGHTS
from vexkd.training.samples import open_dataset
from vexkd.training.sampling import evenly

logger = logging.getLogger(__name__)

CACHE = "reference.json"
"""File of the run folder that keeps the trained model's metrics."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Reference:
    """Annotated keyframes, and the trained model's metrics on them."""

    split: str
    frames: NuScenesDataset
    """The chosen keyframes alone."""
    available: int
    """Keyframes of the whole split."""
    metrics: dict[str, float]
    """``mAP`` and ``NDS``, or ``mIoU``."""


def find_reference(
    run: Path,
    config: Config,
    model: Perception,
    split: str | None,
    count: int,
    raw_size: tuple[int, int] | None,
    required: bool,
    progress: Progress,
) -> Reference | None:
    """The keyframes of a split and the trained model's metrics on them, from the run folder where they are known.

    Args:
        run: run folder, which keeps the metrics for the next export.
        config: of the run.
        model: the trained model in evaluation mode, as :func:`vexkd.training.run.load_run` gives it.
        split: to take keyframes of, by default ``data.val_split``; one that is named is required.
        count: keyframes at most, evenly spread over the split.
        raw_size: (height, width) of the images a bundle with a camera is made for.
        required: refuse where there are no keyframes, instead of a warning.
        progress: told what begins.

    Returns:
        None where the run's data are not at hand, or are not what the bundle is made for; a warning says so.

    Raises:
        UserError: the keyframes have no annotations; ``count`` is below 1; accuracy is required and cannot be measured.
    """
    if count < 1:
        raise UserError(f"--gate-frames takes a number of keyframes above 0, got {count}")
    required = required or split is not None
    split = split or config.data.val_split
    try:
        dataset = open_dataset(config, split)
        _check_images(dataset, raw_size)
    except UserError as error:
        if required:
            raise UserError(f"the export is refused, for its accuracy cannot be measured: {error}") from error
        logger.warning("accuracy was not measured: %s", error)
        return None
    available = len(dataset)
    dataset.tokens = [dataset.tokens[index] for index in evenly(available, count)]
    if config.task == "detection" and not any(dataset.nusc.get("sample", token)["anns"] for token in dataset.tokens):
        raise _no_annotations(dataset, split)
    key = _key(run, dataset, split)
    metrics = _kept(run, split, key)
    if metrics is None:
        metrics = figures(model_predictor(model), dataset, "accuracy of the trained model", progress)
        if None in metrics.values():  # not one cell of any map class
            raise _no_annotations(dataset, split)
        _keep(run, split, key, metrics)
    return Reference(split, dataset, available, metrics)


def figures(predictor: Predictor, dataset: NuScenesDataset, what: str, progress: Progress) -> dict[str, float]:
    """``mAP`` and ``NDS``, or ``mIoU``; ``progress`` is told which keyframe of ``what`` has its turn."""

    def tracked(samples: Iterable[Sample], count: int) -> Iterable[Sample]:
        for number, sample in enumerate(samples, 1):
            progress(f"{what}: keyframe {number} of {count}")
            yield sample

    workers = dataset.config.workers
    if predictor.segment is not None:
        return {"mIoU": evaluate_segmentation(dataset, predictor.segment, workers, tracked)["mIoU"]}
    assert predictor.detect is not None
    metrics = evaluate_detection(dataset, predictor.detect, None, workers, tracked).metrics
    return {name: metrics[name] for name in ("mAP", "NDS")}


def _check_images(dataset: NuScenesDataset, raw_size: tuple[int, int] | None) -> None:
    if raw_size is None:
        return
    found = dataset[0].images.shape[1:3]
    if found != raw_size:
        told = "images of {}x{}".format
        raise UserError(f"the bundle takes {told(*raw_size)}, those in {dataset.config.root} are {told(*found)}")


def _no_annotations(dataset: NuScenesDataset, split: str) -> UserError:
    return UserError(
        f"the export is refused, for its accuracy cannot be measured: split {split!r} of {dataset.config.root} has no "
        "annotations; name one that has with --gate-split"
    )


def _key(run: Path, dataset: NuScenesDataset, split: str) -> dict[str, Any]:
    """Everything the trained model's metrics depend on."""
    annotations = [
        [token, [dataset.nusc.get("sample_annotation", name) for name in dataset.nusc.get("sample", token)["anns"]]]
        for token in dataset.tokens
    ]
    return {
        "weights_sha256": sha256(run / WEIGHTS),
        "config_sha256": sha256(run / CONFIG),
        "root": str(dataset.config.root.resolve()),
        "split": split,
        "frames": len(dataset),
        "frames_sha256": hashlib.sha256(json.dumps(annotations, sort_keys=True).encode()).hexdigest(),
        "torch": torch.__version__,
        "vexkd": git_commit() or vexkd.__version__,
    }


def _kept(run: Path, split: str, key: dict[str, Any]) -> dict[str, float] | None:
    entry = _read(run).get(split)
    if not isinstance(entry, dict) or entry.get("of") != key:
        return None
    metrics: dict[str, float] = entry["metrics"]
    return metrics


def _keep(run: Path, split: str, key: dict[str, Any], metrics: dict[str, float]) -> None:
    content = _read(run) | {split: {"of": key, "metrics": metrics}}
    try:
        write_text(run / CACHE, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        logger.info("%s is not kept for the next export: %s", run / CACHE, error.strerror)


def _read(run: Path) -> dict[str, Any]:
    """What earlier exports kept; nothing where there is none or it is damaged."""
    try:
        content = json.loads((run / CACHE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
