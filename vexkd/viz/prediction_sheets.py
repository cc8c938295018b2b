"""The sheets of what runs predict: boxes in bird's-eye view, and maps, beside ground truth."""

from collections.abc import Sequence

import torch
from PIL import Image

from vexkd.data.sample import Sample
from vexkd.evaluation.boxes import Boxes
from vexkd.models.inputs import Output
from vexkd.viz.bev import bev_canvas, draw_bev_boxes, fill_bev_boxes
from vexkd.viz.colours import MAP_COLOURS, TRUTH_COLOUR
from vexkd.viz.detection import BOX_LEGEND, REACH, class_colours, detection_picture
from vexkd.viz.legend import with_legend
from vexkd.viz.maps import map_picture
from vexkd.viz.opened import Run, first
from vexkd.viz.sheet import Titled, sheet

BOXES_SIDE, MAPS_SIDE = 630, 420
"""Pixels of a bird's-eye-view picture."""


def boxes_sheet(runs: Sequence[Run], found: Sequence[Boxes], sample: Sample) -> Image.Image:
    """A run's boxes outlined in class colours over the annotated ones, filled."""
    panels = [_boxes_panel(run, boxes, sample) for run, boxes in zip(runs, found, strict=True)]
    return with_legend(sheet([panels]), BOX_LEGEND)


def cameras_sheet(run: Run, found: Boxes, sample: Sample) -> Image.Image:
    """The six cameras with a run's boxes, and the bird's-eye view with the annotated ones, too."""
    title = f"{_boxes_title(run, found)}; annotated boxes are filled in the bird's-eye view only"
    return sheet([[(title, detection_picture(sample, found.boxes, found.labels))]])


def maps_sheet(runs: Sequence[Run], outputs: Sequence[Output], sample: Sample) -> Image.Image:
    """Ground truth, then each run's map at probability 0.5."""
    panels = [("ground truth", map_picture(sample.map_labels, MAPS_SIDE))] if sample.map_labels is not None else []
    for run, output in zip(runs, outputs, strict=True):
        assert isinstance(output.prediction, torch.Tensor)
        panels.append((run.title, map_picture(first(output.prediction > 0), MAPS_SIDE)))
    return with_legend(sheet([panels]), MAP_COLOURS)


def _boxes_panel(run: Run, found: Boxes, sample: Sample) -> Titled:
    picture = bev_canvas(sample.points, BOXES_SIDE, REACH)
    fill_bev_boxes(picture, sample.boxes, TRUTH_COLOUR, REACH)
    draw_bev_boxes(picture, found.boxes, class_colours(found.labels), REACH)
    return f"{_boxes_title(run, found)}, {len(sample.boxes)} annotated", picture


def _boxes_title(run: Run, found: Boxes) -> str:
    return f"{run.title}: {len(found.boxes)} boxes found, score over {run.config.model.head.score_threshold:g}"
