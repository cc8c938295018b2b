"""Map segmentation as pictures."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vexkd.classes import MAP_CLASSES
from vexkd.geometry import BevGrid
from vexkd.viz.bev import bev_raster, bev_upright
from vexkd.viz.colours import BACKGROUND, MAP_COLOURS


def map_picture(labels: NDArray[np.generic], size: int = 400) -> Image.Image:
    """A picture (size, size) of map classes (6, H, W), non-zero where present; later classes are drawn over earlier."""
    upright = bev_upright(labels) != 0
    pixels = np.zeros((*upright.shape[1:], 3), dtype=np.uint8) + np.array(BACKGROUND, dtype=np.uint8)
    for name, present in zip(MAP_CLASSES, upright, strict=True):
        pixels[present] = MAP_COLOURS[name]
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)


def draw_map_outlines(image: Image.Image, labels: NDArray[np.generic], grid: BevGrid, reach: float) -> None:
    """Outline the areas of map classes (6, H, W), 1 where present, of a grid in a picture of +-reach metres."""
    pixels = np.array(image)
    for name, present in zip(MAP_CLASSES, labels == 1, strict=True):
        pixels[_rim(bev_raster(present, grid, image.width, reach) == 1)] = MAP_COLOURS[name]
    image.paste(Image.fromarray(pixels))


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marked pixels (H, W) with an unmarked one above, below, left or right of them."""
    padded = np.pad(inside, 1, mode="edge")
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: NDArray[np.bool_] = inside & ~core
    return rim
