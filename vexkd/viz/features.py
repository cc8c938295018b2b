"""BEV features and masks as heat maps."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from vexkd.viz.bev import bev_upright


def feature_picture(feature: NDArray[np.floating], size: int = 400) -> Image.Image:
    """Energy of a BEV feature (C, H, W): channel-sum of squares, scaled to its own 99th percentile."""
    energy = np.sqrt(np.square(np.asarray(feature, dtype=np.float64)).sum(axis=0))
    high = np.percentile(energy, 99)
    return heat_picture(energy / high if high > 0 else energy, size)


def heat_picture(values: NDArray[np.floating], size: int = 400) -> Image.Image:
    """A heat map (H, W) whose values 0..1 run from dark to bright; others are clipped."""
    upright = np.clip(bev_upright(np.asarray(values, dtype=np.float64)), 0, 1)
    pixels = (colormaps["magma"](upright)[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)
