"""Raw camera images to the network's input, inside the model, so that no runtime can disagree about it.

Pixel convention of :func:`vexkd.plugins.frustum.image_transform`: pixel i covers [i, i + 1) and is centred at
coordinate i.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.ops import prepare_images

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class ImagePreparation(nn.Module):
    """Resize, crop and normalise uint8 images, in FP32; ``dtype`` is what the result is rounded to."""

    mean: Tensor
    std: Tensor

    def __init__(self, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        self.dtype = torch.float32
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, transforms: Tensor | None = None) -> Tensor:
        """Prepare images (B, V, H, W, 3) uint8 as (B * V, 3, h, w) of ``dtype``.

        ``transforms`` (B * V, 3, 3) maps raw to prepared pixels, one matrix per camera; pixels from outside a raw
        image take its nearest border pixel. Without it every camera gets the fixed resize and crop of
        ``image_transform``.
        """
        cameras = images.flatten(0, 1)
        if transforms is None:
            return prepare_images(cameras, *self.image_size, IMAGENET_MEAN, IMAGENET_STD, self.dtype)
        pixels = warp(cameras.permute(0, 3, 1, 2).float(), transforms, self.image_size)
        return ((pixels - self.mean) / self.std).to(self.dtype)


def warp(pixels: Tensor, transforms: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Bilinear warp of (M, 3, H, W) by affine matrices (M, 3, 3) from raw to prepared pixels: (M, 3, h, w)."""
    to_raw = torch.linalg.inv(transforms.double())
    source = _normalise(pixels.shape[2], pixels.shape[3], to_raw)
    target = _normalise(*image_size, to_raw)
    theta = (source @ to_raw @ torch.linalg.inv(target))[:, :2].to(pixels.dtype)
    grid = functional.affine_grid(theta, [len(pixels), 3, *image_size], align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _normalise(height: int, width: int, like: Tensor) -> Tensor:
    """Matrix (3, 3) from pixels to grid_sample's coordinates: n = (pixel + 0.5) * 2 / size - 1."""
    rows = [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)
