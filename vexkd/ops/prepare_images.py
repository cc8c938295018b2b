"""``vexkd::prepare_images``: camera images as the network takes them."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from vexkd.ops.launch import check, dtype_code, launch
from vexkd.plugins.library import PLANAR, ImageShape

CHANNELS = 3


@torch.library.custom_op("vexkd::prepare_images", mutates_args=())
def prepare_images(
    images: Tensor, height: int, width: int, mean: Sequence[float], deviation: Sequence[float], dtype: torch.dtype
) -> Tensor:
    """Resize, crop and normalise the images of all cameras; has no gradient.

    Args:
        images: (M, H, W, 3) uint8 RGB; M counts all cameras of the batch.
        height: of the prepared images, h.
        width: of the prepared images, w.
        mean: of each channel, of 0..255.
        deviation: of each channel, positive.
        dtype: of the result, float32 or float16; the arithmetic is float32's.

    Returns:
        (M, 3, h, w): (pixel - mean) / deviation.

    Raises:
        ValueError: a wrong dtype, shape or number of constants.
        KernelError: sizes that are none or too large, or a deviation that is not positive.

    """
    images = check("images", images, torch.uint8, (None, None, None, CHANNELS), images)
    prepared = _empty(images, height, width, dtype)
    shape = ImageShape(*images.shape[:3], height, width)
    constants = _constants("mean", mean), _constants("deviation", deviation)
    code = dtype_code(prepared, "prepared images")
    launch("prepare_images", (images, shape, *constants, code, PLANAR, prepared), None)
    return prepared


@prepare_images.register_fake
def _(
    images: Tensor, height: int, width: int, mean: Sequence[float], deviation: Sequence[float], dtype: torch.dtype
) -> Tensor:
    return _empty(images, height, width, dtype)


def _empty(images: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    return images.new_empty(images.shape[0], CHANNELS, height, width, dtype=dtype)


def _constants(name: str, values: Sequence[float]) -> "ctypes.Array[ctypes.c_float]":
    """One number for each channel, in host memory as the kernels on every device take them."""
    if len(values) != CHANNELS:
        raise ValueError(f"{name} must be {CHANNELS} numbers, got {list(values)}")
    return (ctypes.c_float * CHANNELS)(*values)
