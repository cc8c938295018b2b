"""Bird's-eye-view pictures: x (forward) points up, y (left) points left."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vexkd.geometry import BevGrid, box_corners
from vexkd.viz.colours import BACKGROUND, Colour

RINGS = (20, 40)
"""Radii in metres of the drawn distance rings."""


def bev_pixels(xy: NDArray[np.floating], size: int, reach: float) -> NDArray[np.floating]:
    """Pixels (..., 2) = (column, row) of ego positions (..., 2) in a square picture that spans +-reach metres."""
    scale = size / (2 * reach)
    return np.stack([(reach - xy[..., 1]) * scale, (reach - xy[..., 0]) * scale], axis=-1)


def bev_upright(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Turn a BEV array (..., H, W) with H along y, W along x into picture rows (forward up) and columns (left left)."""
    return np.swapaxes(array, -1, -2)[..., ::-1, ::-1]


def bev_raster(values: NDArray[np.generic], grid: BevGrid, size: int, reach: float) -> NDArray[np.float64]:
    """The cell (H, W) of a grid under each pixel of a picture (size, size) of +-reach metres; NaN where none is."""
    metres = reach - (np.arange(size) + 0.5) * (2 * reach / size)
    column = np.floor((metres - grid.x[0]) / grid.cell).astype(np.int64)
    row = np.floor((metres - grid.y[0]) / grid.cell).astype(np.int64)
    ahead, aside = (column >= 0) & (column < grid.width), (row >= 0) & (row < grid.height)
    raster = np.full((size, size), np.nan)
    raster[np.ix_(ahead, aside)] = np.swapaxes(values, 0, 1)[np.ix_(column[ahead], row[aside])]
    return raster


def bev_canvas(points: NDArray[np.floating], size: int, reach: float) -> Image.Image:
    """A picture (size, size) of points (N, >=3), coloured by height, with distance rings."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8) + np.array(BACKGROUND, dtype=np.uint8)
    spots = np.floor(bev_pixels(points[:, :2], size, reach)).astype(np.int64)
    inside = ((spots >= 0) & (spots < size)).all(axis=1)
    order = np.argsort(points[inside, 2], kind="stable")
    tone = np.clip((points[inside, 2][order] + 2) / 5, 0, 1)[:, None]
    shade = (1 - tone) * np.array([70, 90, 140]) + tone * np.array([190, 240, 220])
    pixels[spots[inside][order, 1], spots[inside][order, 0]] = shade.astype(np.uint8)
    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    for radius in RINGS:
        box = bev_pixels(np.array([[radius, radius], [-radius, -radius]], dtype=np.float64), size, reach)
        canvas.ellipse(tuple(box.reshape(4).tolist()), outline=(60, 66, 80))
    return image


def fill_bev_boxes(image: Image.Image, boxes: NDArray[np.floating], colour: Colour, reach: float) -> None:
    """Fill the footprints of boxes (M, 9)."""
    canvas = ImageDraw.Draw(image)
    for footprint in box_corners(np.asarray(boxes, dtype=np.float64))[:, :4, :2]:
        pixels = bev_pixels(footprint, image.width, reach)
        canvas.polygon([tuple(pixel) for pixel in pixels.tolist()], fill=colour)


def draw_bev_boxes(
    image: Image.Image, boxes: NDArray[np.floating], colours: list[Colour], reach: float, width: int = 2
) -> None:
    """Draw the footprints of boxes (M, 9) with a line from the centre to the front."""
    canvas = ImageDraw.Draw(image)
    corners = box_corners(np.asarray(boxes, dtype=np.float64))[:, :4, :2]
    for box, footprint, colour in zip(boxes, corners, colours, strict=True):
        pixels = bev_pixels(footprint, image.width, reach)
        canvas.line([tuple(pixel) for pixel in pixels[[0, 1, 2, 3, 0]].tolist()], fill=colour, width=width)
        front = (footprint[0] + footprint[3]) / 2
        nose = bev_pixels(np.stack([np.asarray(box[:2], dtype=np.float64), front]), image.width, reach)
        canvas.line([tuple(pixel) for pixel in nose.tolist()], fill=colour, width=width)
