"""A bundle over the keyframes of a data set: results and pictures into a folder."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vexkd.classes import DETECTION_CLASSES, MAP_CLASSES
from vexkd.config import DataConfig
from vexkd.data.boxes import submission_boxes
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.engines.bundle import Bundle
from vexkd.engines.pipeline import Boxes, Pipeline, Result
from vexkd.plugins.files import replacing, write_text
from vexkd.viz.detection import draw_sample
from vexkd.viz.maps import map_picture

PRESENT = 0.5
"""Probability from which a map class counts as present."""


def data_config(bundle: Bundle, root: Path) -> DataConfig:
    """How keyframes are to be read for a bundle: the sweeps its model was trained on."""
    points = bundle.manifest.points
    if points is None:
        return DataConfig(root=root, sweeps=0)
    return DataConfig(root=root, sweeps=points.sweeps, max_points=points.capacity)


def open_frames(bundle: Bundle, root: Path, split: str, limit: int | None) -> tuple[Iterator[Sample], int]:
    """The keyframes of a split, with images, and how many they are.

    Raises:
        UserError: see :class:`NuScenesDataset`.
    """
    dataset = NuScenesDataset(data_config(bundle, root), split, images=True)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    return (dataset[index] for index in range(count)), count


def run_frames(pipeline: Pipeline, frames: Iterable[Sample], out: Path, pictures: bool) -> dict[str, Any]:
    """Run a bundle over keyframes; writes ``results.json``, and pictures and maps as they come.

    The results of a detection bundle are nuScenes' submission (``results``, global frame) with the same boxes in the
    ego frame (``ego``); those of a segmentation bundle name a file of probabilities per keyframe.
    """
    manifest = pipeline.bundle.manifest
    results: dict[str, Any] = {
        "meta": {
            "use_camera": "camera" in manifest.sensors,
            "use_lidar": "lidar" in manifest.sensors,
            "use_radar": False,
            "use_map": False,
            "use_external": False,
        },
        "bundle": {"name": pipeline.bundle.name, "sha256": manifest.sha256, "runtime": pipeline.session.runtime},
        "results": {},
        "dropped_points": {},
    }
    for sample in frames:
        result = pipeline(sample)
        if result.boxes is not None:
            _add_boxes(results, sample, result.boxes)
        else:
            results["results"][sample.token] = _save_map(result, sample, out)
        if result.dropped_points:
            results["dropped_points"][sample.token] = result.dropped_points
        if pictures:
            _draw(result, sample, out / "pictures" / f"{sample.token}.png")
    write_text(out / "results.json", json.dumps(results))
    return results


def _add_boxes(results: dict[str, Any], sample: Sample, found: Boxes) -> None:
    records = submission_boxes(found.boxes, found.scores, found.labels, sample.ego_to_global, sample.token)
    results["results"][sample.token] = records
    results.setdefault("ego", {})[sample.token] = [
        {"box": box.tolist(), "detection_score": float(score), "detection_name": DETECTION_CLASSES[label]}
        for box, score, label in zip(found.boxes.astype(float), found.scores, found.labels, strict=True)
    ]


def _save_map(result: Result, sample: Sample, out: Path) -> dict[str, Any]:
    assert result.logits is not None
    probability = 1 / (1 + np.exp(-result.logits.astype(np.float64)))
    file = out / "maps" / f"{sample.token}.npy"
    with replacing(file) as temporary:
        np.save(temporary, probability.astype(np.float16))
    covered = (probability >= PRESENT).mean(axis=(1, 2))
    shares = {name: float(share) for name, share in zip(MAP_CLASSES, covered, strict=True)}
    return {"probability": str(file.relative_to(out)), "covered": shares}


def _draw(result: Result, sample: Sample, path: Path) -> None:
    if result.boxes is not None:
        draw_sample(sample, result.boxes.boxes, result.boxes.labels, path)
        return
    assert result.logits is not None
    with replacing(path) as temporary:
        map_picture(result.logits > 0).save(temporary, format="PNG")
