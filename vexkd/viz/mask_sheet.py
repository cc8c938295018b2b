"""The sheet of a distillation's masks: over ground truth, beside the teacher's feature and what they leave of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vexkd.classes import MAP_CLASSES
from vexkd.data.collate import collate
from vexkd.data.sample import Sample
from vexkd.distill.diagnostics import box_cells, map_cells
from vexkd.geometry import BevGrid
from vexkd.models.map_head import MAP_GRID
from vexkd.viz.bev import draw_bev_boxes
from vexkd.viz.colours import MAP_COLOURS, OUTLINE_COLOUR
from vexkd.viz.feature_sheet import SIDE, Panel, energy_row, grid_reach
from vexkd.viz.features import colour_bar, heat_picture
from vexkd.viz.legend import with_legend
from vexkd.viz.maps import draw_map_outlines
from vexkd.viz.opened import Run, first
from vexkd.viz.scale import Scale
from vexkd.viz.sheet import Titled, sheet


def mask_sheet(runs: Sequence[Run], sample: Sample) -> Image.Image:
    """Two rows per distillation run, low and high level; the legend names the outlines over the masks."""
    picture = sheet([row for run in runs for row in _mask_rows(run, sample)])
    return with_legend(picture, {"annotated box": OUTLINE_COLOUR} if sample.map_labels is None else MAP_COLOURS)


def mask_title(mask: NDArray[np.floating], grid: BevGrid, sample: Sample) -> str:
    """The mask's mean over the annotated boxes and over the rest, or over each map class."""
    if sample.map_labels is None:
        inside = box_cells(sample.boxes, grid)
        return f"mean {_mean(mask, inside)} in boxes, {_mean(mask, ~inside)} elsewhere"
    cells = map_cells(sample.map_labels, grid)
    means = [f"{name} {_mean(mask, each)}" for name, each in zip(MAP_CLASSES, cells, strict=True)]
    means.append(f"elsewhere {_mean(mask, ~cells.any(axis=0))}")
    return "mean: " + ", ".join(means[:3]) + ",\n" + ", ".join(means[3:])


def mask_picture(mask: NDArray[np.floating], grid: BevGrid, scale: Scale, sample: Sample) -> Image.Image:
    """The mask (H, W) as a heat map under the outlines of annotated boxes or map classes."""
    reach = grid_reach(grid)
    picture = heat_picture(mask, grid, scale, SIDE, reach)
    if sample.map_labels is None:
        draw_bev_boxes(picture, sample.boxes, [OUTLINE_COLOUR] * len(sample.boxes), reach, width=1)
    else:
        draw_map_outlines(picture, sample.map_labels, MAP_GRID, reach)
    return picture


def _mask_rows(run: Run, sample: Sample) -> list[list[Titled]]:
    distiller = run.distiller
    assert distiller is not None
    batch = collate([sample], distiller.student.config, teacher=distiller.teacher.config)
    assert batch.teacher_inputs is not None
    taught, grid = distiller.teacher_features(batch.teacher_inputs), distiller.teacher.config.grid
    rows = []
    for level, masks in distiller.make_masks(taught, batch.targets).items():
        feature, mask = first(getattr(taught, level)), first(masks)[0]
        before, after, bar = energy_row(
            [
                Panel("teacher's feature", f"{level} level", feature, grid),
                Panel("teacher's feature under the mask", f"{level} level", feature * mask, grid),
            ]
        )
        scale = Scale(0.0, max(1.0, float(mask.max())))
        told = f"{run.name}: mask, {level} level\n{mask_title(mask, grid, sample)}"
        rows.append(
            [before, (told, mask_picture(mask, grid, scale, sample)), ("mask", colour_bar(scale, SIDE)), after, bar]
        )
    return rows


def _mean(mask: NDArray[np.floating], cells: NDArray[np.bool_]) -> str:
    """Mean over the marked cells; a dash where there are none."""
    return f"{mask[cells].mean():.2f}" if cells.any() else "-"
