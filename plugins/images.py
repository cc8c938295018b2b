"""Image preparation on the CPU kernel; semantics in include/vexkd/prepare_images.h."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import PLANAR, ImageShape, call, dense, dtype_code, pointer


def prepare_images(
    images: NDArray[np.uint8],
    image_size: tuple[int, int],
    mean: Sequence[float],
    deviation: Sequence[float],
    dtype: type[np.float32] | type[np.float16] = np.float32,
    threads: int = 0,
) -> NDArray[Any]:
    """Resize, crop (as :func:`vexkd.plugins.frustum.image_transform` says) and normalise the images of all cameras.

    Args:
        images: (V, H, W, 3) uint8 RGB.
        image_size: (h, w) of the prepared images.
        mean: of each channel, of 0..255.
        deviation: of each channel, positive.
        dtype: of the result.
        threads: 0 for all cores.

    Returns:
        (V, 3, h, w): (pixel - mean) / deviation.

    Raises:
        ValueError: a wrong dtype or shape.
        KernelError: sizes that are none or too large, or a deviation that is not positive.
    """
    images = dense(images, np.uint8, (None, None, None, 3), "images")
    constants = [np.asarray(values, np.float32) for values in (mean, deviation)]
    if any(values.shape != (3,) for values in constants):
        raise ValueError(f"mean and deviation take 3 numbers each, got {mean} and {deviation}")
    prepared = np.empty((len(images), 3, *image_size), dtype)
    shape = ImageShape(*images.shape[:3], *image_size)
    inputs = (pointer(images), ctypes.byref(shape), pointer(constants[0]), pointer(constants[1]))
    call("prepare_images_cpu", *inputs, dtype_code(prepared, "prepared"), PLANAR, pointer(prepared), threads)
    return prepared
