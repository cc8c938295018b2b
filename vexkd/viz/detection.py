"""One picture of a sample's detections: six cameras and the bird's-eye view."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vexkd.classes import CAMERAS, DETECTION_CLASSES
from vexkd.data.sample import Sample
from vexkd.plugins.files import replacing
from vexkd.viz.bev import bev_canvas, draw_bev_boxes, fill_bev_boxes
from vexkd.viz.cameras import draw_boxes
from vexkd.viz.colours import BACKGROUND, BOX_COLOURS, INK, TRUTH_COLOUR, Colour
from vexkd.viz.legend import with_legend

TILE = (640, 360)
"""(width, height) of one camera in the picture."""
REACH = 55.0
BOX_LEGEND: dict[str, Colour] = BOX_COLOURS | {"annotated (filled)": TRUTH_COLOUR}


def class_colours(labels: NDArray[np.integer]) -> list[Colour]:
    """The colour of each label (M,)."""
    return [BOX_COLOURS[DETECTION_CLASSES[label]] for label in labels]


def detection_picture(
    sample: Sample, boxes: NDArray[np.floating], labels: NDArray[np.integer], truth: bool = True
) -> Image.Image:
    """Cameras with boxes (M, 9) in class colours, and the BEV with the annotated boxes filled in green beneath them."""
    rows = 2
    height = rows * TILE[1]
    columns = 3 if len(sample.images) else 0
    picture = Image.new("RGB", (columns * TILE[0] + height, height), BACKGROUND)
    colours = class_colours(labels)
    for index, name in enumerate(CAMERAS[: len(sample.images)]):
        tile = camera_tile(sample, index, boxes, colours)
        ImageDraw.Draw(tile).text((8, 6), name, fill=INK, stroke_width=2, stroke_fill=BACKGROUND)
        picture.paste(tile, (index % 3 * TILE[0], index // 3 * TILE[1]))
    bev = bev_canvas(sample.points, height, REACH)
    if truth:
        fill_bev_boxes(bev, sample.boxes, TRUTH_COLOUR, REACH)
    draw_bev_boxes(bev, boxes, colours, REACH)
    picture.paste(bev, (columns * TILE[0], 0))
    return with_legend(picture, BOX_LEGEND if truth else BOX_COLOURS)


def camera_tile(sample: Sample, index: int, boxes: NDArray[np.floating], colours: list[Colour]) -> Image.Image:
    """Camera ``index`` of the sample at tile size with the boxes on it."""
    raw = Image.fromarray(sample.images[index])
    scale = np.diag([TILE[0] / raw.width, TILE[1] / raw.height, 1.0])
    tile = raw.resize(TILE, Image.Resampling.BILINEAR)
    draw_boxes(tile, boxes, colours, scale @ sample.intrinsics[index], sample.camera_to_ego[index], width=2)
    return tile


def draw_sample(
    sample: Sample,
    boxes: NDArray[np.floating],
    labels: NDArray[np.integer],
    path: Path,
    truth: bool = True,
) -> None:
    """Write :func:`detection_picture` as a PNG."""
    with replacing(path) as temporary:
        detection_picture(sample, boxes, labels, truth).save(temporary, format="PNG")
