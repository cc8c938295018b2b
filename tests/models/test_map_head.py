"""Map head: where its cells look, and its loss by hand."""

import math

import pytest
import torch
from tiny_models import GRID
from torch.nn import functional

from vexkd.config import HeadConfig
from vexkd.geometry import BevGrid
from vexkd.models.map_head import MapHead, segmentation_loss


def test_map_cells_look_at_their_own_place() -> None:
    grid = BevGrid(x=(-60.0, 60.0), y=(-52.0, 52.0), cell=0.8)
    head = MapHead(HeadConfig(channels=4), grid, 2)
    x = grid.x[0] + (torch.arange(grid.width) + 0.5) * grid.cell
    y = grid.y[0] + (torch.arange(grid.height) + 0.5) * grid.cell
    ramp = torch.stack([x.expand(grid.height, -1), y[:, None].expand(-1, grid.width)])[None]
    sampled = functional.grid_sample(ramp, head.locations, align_corners=False)
    centres = -50 + (torch.arange(200) + 0.5) * 0.5
    torch.testing.assert_close(sampled[0, 0], centres.expand(200, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(sampled[0, 1], centres[:, None].expand(-1, 200), atol=1e-3, rtol=0)


def test_shape_on_a_small_rectangular_grid() -> None:
    head = MapHead(HeadConfig(channels=4), GRID, 16).eval()
    assert head(torch.randn(2, 16, GRID.height, GRID.width)).shape == (2, 6, 200, 200)


def test_focal_loss_by_hand() -> None:
    logits = torch.full((1, 6, 200, 200), 0.5)
    labels = torch.zeros(1, 6, 200, 200, dtype=torch.uint8)
    labels[:, 0] = 1
    p = 1 / (1 + math.exp(-0.5))
    expected = -((1 - p) ** 2) * math.log(p) + 5 * -(p**2) * math.log(1 - p)
    assert segmentation_loss(logits, labels)["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_unknown_cells_take_no_part_in_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 6, 200, 200, generator=generator)
    labels = torch.randint(0, 2, (1, 6, 200, 200), dtype=torch.uint8, generator=generator)
    half = segmentation_loss(logits[..., :100].repeat(1, 1, 1, 2), labels[..., :100].repeat(1, 1, 1, 2))["loss"]
    labels[..., 100:] = 255
    assert segmentation_loss(logits, labels)["loss"].item() == pytest.approx(half.item(), rel=1e-5)


def test_loss_refuses_labels_of_another_shape() -> None:
    with pytest.raises(ValueError, match="logits' shape"):
        segmentation_loss(torch.zeros(1, 6, 200, 200), torch.zeros(1, 6, 100, 100))
