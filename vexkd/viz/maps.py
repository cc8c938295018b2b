"""Map segmentation as pictures."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vexkd.classes import MAP_CLASSES
from vexkd.viz.bev import bev_upright
from vexkd.viz.colours import BACKGROUND, MAP_COLOURS


def map_picture(labels: NDArray[np.generic], size: int = 400) -> Image.Image:
    """A picture (size, size) of map classes (6, H, W), non-zero where present; later classes are drawn over earlier."""
    upright = bev_upright(labels) != 0
    pixels = np.zeros((*upright.shape[1:], 3), dtype=np.uint8) + np.array(BACKGROUND, dtype=np.uint8)
    for name, present in zip(MAP_CLASSES, upright, strict=True):
        pixels[present] = MAP_COLOURS[name]
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)
