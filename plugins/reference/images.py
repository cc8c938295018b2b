"""Image preparation in numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.reference.cells import F32


def prepare_images(
    images: NDArray[np.uint8],
    image_size: tuple[int, int],
    mean: Sequence[float],
    deviation: Sequence[float],
    dtype: type[np.float32] | type[np.float16] = np.float32,
) -> NDArray[Any]:
    """(V, 3, h, w) of images (V, H, W, 3)."""
    raw = images.shape[1:3]
    scale = max(image_size[0] / raw[0], image_size[1] / raw[1])
    resized = [round(size * scale) for size in raw]
    first = [resized[0] - image_size[0], (resized[1] - image_size[1]) // 2]
    (top, bottom, down), (left, right, across) = (
        _taps(raw[axis], resized[axis], first[axis], image_size[axis]) for axis in (0, 1)
    )
    pixels = images.astype(F32)
    along_x = [
        pixels[:, rows][:, :, left] * (1 - across)[:, None] + pixels[:, rows][:, :, right] * across[:, None]
        for rows in (top, bottom)
    ]
    blended = along_x[0] * (1 - down)[:, None, None] + along_x[1] * down[:, None, None]
    normal = (blended - np.array(mean, F32)) / np.array(deviation, F32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2)).astype(dtype)


def _taps(
    raw: int, resized: int, first: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Raw pixels below and above each output position, and the weight of the one above."""
    position = np.arange(first, first + size).astype(F32)
    exact = np.maximum((position + F32(0.5)) * (F32(raw) / F32(resized)) - F32(0.5), F32(0))
    below = np.minimum(exact.astype(np.int64), raw - 1)
    return below, np.minimum(below + 1, raw - 1), exact - below.astype(F32)
