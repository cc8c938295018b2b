"""Heat maps of BEV features and masks, and the colour bar that gives their colours numbers."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vexkd.geometry import BevGrid
from vexkd.viz.bev import bev_raster
from vexkd.viz.colours import BACKGROUND, INK
from vexkd.viz.scale import Scale

BAR = (16, 76)
"""Pixels: width of a colour bar, and of the whole picture that holds it and its numbers."""


def energy(feature: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root mean square over the channels of a BEV feature (C, H, W): (H, W), whatever the number of channels."""
    squares = np.square(np.asarray(feature, dtype=np.float64))
    return np.asarray(np.sqrt(squares.mean(axis=0)))


def heat_picture(
    values: NDArray[np.floating], grid: BevGrid, scale: Scale, size: int = 400, reach: float = 50.0
) -> Image.Image:
    """A heat map (size, size) of a grid's cells (H, W), forward up, +-reach metres wide; background off the grid."""
    raster = bev_raster(values, grid, size, reach)
    pixels = _colours(scale.place(raster))
    pixels[np.isnan(raster)] = BACKGROUND
    return Image.fromarray(pixels)


def colour_bar(scale: Scale, height: int = 400) -> Image.Image:
    """The scale as a bar of a height in pixels, its low end below, with numbers at its right."""
    picture = Image.new("RGB", (BAR[1], height), BACKGROUND)
    ramp = _colours(np.linspace(1, 0, height))[:, None].repeat(BAR[0], axis=1)
    picture.paste(Image.fromarray(ramp), (6, 0))
    canvas = ImageDraw.Draw(picture)
    for tick in scale.ticks():
        row = round((1 - float(scale.place(np.array(tick)))) * (height - 1))
        canvas.line((6 + BAR[0], row, 11 + BAR[0], row), fill=INK)
        text = float(np.clip(row, 8, height - 9))  # a number at an end stays inside the picture
        canvas.text((14 + BAR[0], text), f"{tick:g}", fill=INK, font_size=14, anchor="lm")
    return picture


def _colours(places: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours (..., 3) of places (...) on a bar, 0..1 from dark to bright."""
    return np.asarray(colormaps["magma"](np.nan_to_num(places))[..., :3] * 255).astype(np.uint8)
