"""Resize, crop and warp of camera images."""

import numpy as np
import pytest
import torch

from vexkd.models.image_preparation import IMAGENET_MEAN, IMAGENET_STD, ImagePreparation, warp
from vexkd.plugins.frustum import image_transform


def smooth_images(height: int, width: int, cameras: int = 2) -> torch.Tensor:
    """(1, V, H, W, 3) uint8 waves, different per camera."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.stack([(x + 20 * v) / 7, y / 5, (x + y) / 9], dim=-1).sin() for v in range(cameras)]
    return (torch.stack(waves)[None] * 100 + 128).to(torch.uint8)


@pytest.mark.parametrize("raw", [(90, 160), (48, 80), (60, 61)])
def test_fixed_resize_equals_warp_by_its_own_matrix(raw: tuple[int, int]) -> None:
    images = smooth_images(*raw)
    matrix = torch.from_numpy(image_transform(raw, (32, 64))).float().expand(2, 3, 3)
    preparation = ImagePreparation((32, 64))
    # 61 pixels become 64: a scale that no size of the other axis is a whole multiple of.
    torch.testing.assert_close(preparation(images), preparation(images, matrix), atol=2e-3, rtol=0)


def test_resize_crop_keeps_the_bottom_and_the_centre() -> None:
    images = torch.zeros(1, 1, 100, 128, 3, dtype=torch.uint8)
    images[:, :, -64:] = 200
    prepared = ImagePreparation((32, 64))(images)
    lit = (200 - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
    assert torch.allclose(prepared[0, 0], torch.full((32, 64), lit), atol=1e-4)


def test_each_camera_has_its_own_matrix() -> None:
    images = smooth_images(32, 64)
    mirror = torch.tensor([[-1.0, 0, 63], [0, 1, 0], [0, 0, 1]])
    prepared = ImagePreparation((32, 64))(images, torch.stack([torch.eye(3), mirror]))
    plain = ImagePreparation((32, 64))(images)
    torch.testing.assert_close(prepared[0], plain[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(prepared[1], plain[1].flip(-1), atol=1e-3, rtol=0)


def test_warp_moves_pixels_as_the_matrix_says() -> None:
    pixels = torch.zeros(1, 3, 20, 30)
    pixels[:, :, 4, 7] = 1
    shift = torch.tensor([[[1.0, 0, 5], [0, 1, -2], [0, 0, 1]]])
    moved = warp(pixels, shift, (20, 30))
    assert np.unravel_index(int(moved[0, 0].argmax()), (20, 30)) == (2, 12)
    assert moved.sum().item() == pytest.approx(3, abs=1e-3)
