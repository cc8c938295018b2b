"""What masks select: how much of the teacher's feature they keep, where, and what that costs the teacher."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vexkd.classes import MAP_CLASSES, MAP_UNKNOWN
from vexkd.data.collate import collate
from vexkd.data.sample import Sample
from vexkd.distill.distiller import Distiller
from vexkd.geometry import LENGTH, WIDTH, YAW, BevGrid, X, Y
from vexkd.models.map_head import MAP_GRID


@torch.no_grad()
def mask_figures(distiller: Distiller, samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """Means over keyframes, for each level.

    Returns:
        For each level ``mean`` of the mask; ``effective_cells`` and ``whole_cells``, participation ratios of the
        feature's energy under the mask and without it; ``correlation`` of the two energy maps; ``teacher_loss`` and
        ``masked_loss``, the teacher's task loss on its own feature and on the masked one. Detection: ``inside`` and
        ``outside``, the mask's mean in cells inside annotated boxes and elsewhere. Segmentation: ``classes``, its mean
        in the cells of each map class. What no keyframe has is left out.
    """
    seen: dict[str, dict[str, list[float]]] = {level: defaultdict(list) for level in distiller.config.levels}
    device = next(distiller.teacher.parameters()).device
    for sample in samples:
        batch = collate([sample], distiller.teacher.config).to(device)
        taught = distiller.teacher_features(batch.inputs)
        own = float(distiller.teacher.loss(distiller.teacher.head(taught.high), batch.targets)["loss"])
        areas = _areas(sample, distiller)
        for level, mask in distiller.make_masks(taught, batch.targets).items():
            feature = getattr(taught, level)
            masked = distiller.teacher.head_from(level, mask * feature)
            values = _energy_figures(feature, mask) | {
                "mean": float(mask.mean()),
                "teacher_loss": own,
                "masked_loss": float(distiller.teacher.loss(masked, batch.targets)["loss"]),
            }
            shown = mask[0, 0].cpu().numpy()
            values |= {name: float(shown[area].mean()) for name, area in areas.items() if area.any()}
            for name, value in values.items():
                seen[level][name].append(value)
    means = {level: {name: float(np.mean(each)) for name, each in values.items()} for level, values in seen.items()}
    return {level: _gather_classes(values) for level, values in means.items()}


def participation_ratio(energy: Tensor) -> float:
    """(sum e)^2 / sum e^2: over how many cells an energy map spreads; 0 for an empty one."""
    square = energy.square().sum()
    return float(energy.sum().square() / square) if square > 0 else 0.0


def box_cells(boxes: NDArray[np.floating], grid: BevGrid) -> NDArray[np.bool_]:
    """Cells (H, W) of a grid whose centres lie inside the footprint of a box (M, 9)."""
    x, y = cell_centres(grid)
    inside = np.zeros(x.shape, dtype=np.bool_)
    for box in boxes:
        cos, sin = np.cos(box[YAW]), np.sin(box[YAW])
        along = cos * (x - box[X]) + sin * (y - box[Y])
        across = cos * (y - box[Y]) - sin * (x - box[X])
        inside |= (np.abs(along) <= box[LENGTH] / 2) & (np.abs(across) <= box[WIDTH] / 2)
    return inside


def map_cells(map_labels: NDArray[np.uint8], grid: BevGrid) -> NDArray[np.bool_]:
    """Cells (6, H, W) of a grid whose centres lie in each map class of labels (6, 200, 200)."""
    x, y = cell_centres(grid)
    column = np.floor((x - MAP_GRID.x[0]) / MAP_GRID.cell).astype(np.int64)
    row = np.floor((y - MAP_GRID.y[0]) / MAP_GRID.cell).astype(np.int64)
    known = (column >= 0) & (column < MAP_GRID.width) & (row >= 0) & (row < MAP_GRID.height)
    labels = map_labels[:, np.where(known, row, 0), np.where(known, column, 0)]
    return known & (labels != MAP_UNKNOWN) & (labels > 0)


def cell_centres(grid: BevGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions x and y (H, W) in metres of a grid's cell centres."""
    x = grid.x[0] + (np.arange(grid.width) + 0.5) * grid.cell
    y = grid.y[0] + (np.arange(grid.height) + 0.5) * grid.cell
    columns, rows = np.meshgrid(x, y)
    return columns, rows


def _energy_figures(feature: Tensor, mask: Tensor) -> dict[str, float]:
    whole, masked = ((feature.float() * m).square().sum(1).flatten() for m in (torch.ones_like(mask), mask))
    together = torch.corrcoef(torch.stack([whole, masked]))[0, 1]
    return {
        "effective_cells": participation_ratio(masked),
        "whole_cells": participation_ratio(whole),
        "correlation": float(together.nan_to_num()),
    }


def _areas(sample: Sample, distiller: Distiller) -> dict[str, NDArray[np.bool_]]:
    grid = distiller.teacher.config.grid
    if distiller.teacher.task == "detection":
        inside = box_cells(sample.boxes, grid)
        return {"inside": inside, "outside": ~inside}
    if sample.map_labels is None:
        return {}
    return dict(zip(MAP_CLASSES, map_cells(sample.map_labels, grid), strict=True))


def _gather_classes(values: dict[str, float]) -> dict[str, Any]:
    classes = {name: values[name] for name in MAP_CLASSES if name in values}
    rest: dict[str, Any] = {name: value for name, value in values.items() if name not in classes}
    return rest | ({"classes": classes} if classes else {})
