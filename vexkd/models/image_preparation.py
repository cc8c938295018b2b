"""Raw camera images to the network's input, inside the model, so that no runtime can disagree about it.

Pixel convention of :func:`vexkd.plugins.frustum.image_transform`: pixel i covers [i, i + 1) and is centred at
coordinate i.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.plugins.frustum import image_transform

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class ImagePreparation(nn.Module):
    """Resize, crop and normalise uint8 images."""

    mean: Tensor
    std: Tensor

    def __init__(self, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, transforms: Tensor | None = None) -> Tensor:
        """Prepare images (B, V, H, W, 3) uint8 as (B * V, 3, h, w) float32.

        ``transforms`` (B * V, 3, 3) maps raw to prepared pixels, one matrix per camera; pixels from outside a raw
        image take its nearest border pixel. Without it every camera gets the fixed resize and crop.
        """
        # TensorRT lets a uint8 input feed a cast only, so the cast comes before any change of shape.
        pixels = images.to(self.mean.dtype).flatten(0, 1).permute(0, 3, 1, 2)
        if transforms is None:
            prepared = resize_crop(pixels, self.image_size)
        else:
            prepared = warp(pixels, transforms, self.image_size)
        return (prepared - self.mean) / self.std


def resize_crop(pixels: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Bilinear resize without antialiasing, then crop, as ``image_transform`` says: (M, 3, H, W) to (M, 3, h, w)."""
    matrix = image_transform((pixels.shape[2], pixels.shape[3]), image_size)
    resized, first = [], []
    # prepared + 0.5 = (raw + 0.5) * scale - crop gives the crop from the matrix' offset.
    for axis, raw in ((1, pixels.shape[2]), (0, pixels.shape[3])):
        scale, offset = float(matrix[axis, axis]), float(matrix[axis, 2])
        resized.append(round(raw * scale))
        first.append(round(0.5 * scale - 0.5 - offset))
    pixels = functional.interpolate(pixels, size=resized, mode="bilinear", align_corners=False)
    return pixels[:, :, first[0] : first[0] + image_size[0], first[1] : first[1] + image_size[1]]


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
