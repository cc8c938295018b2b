"""Masks of other methods against loops and by their definitions."""

import math

import pytest
import torch
from tiny_models import GRID, tiny_boxes

from vexkd.distill.masks import activation_mask, gaussian_mask, key_points_mask, whole_mask


def test_whole() -> None:
    assert torch.equal(whole_mask(torch.randn(2, 3, 4, 5)), torch.ones(2, 1, 4, 5))


def test_activation_by_definition() -> None:
    feature = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    weights = [math.exp(2.0 / 0.5), math.exp(1.0 / 0.5)]
    mask = activation_mask(feature)
    assert mask.flatten().tolist() == pytest.approx([2 * w / sum(weights) for w in weights], rel=1e-5)
    assert activation_mask(torch.randn(2, 3, 4, 5)).mean().item() == pytest.approx(1)


def test_gaussian_peaks_at_every_centre() -> None:
    boxes, _ = tiny_boxes(2)
    mask = gaussian_mask(boxes, GRID)
    assert mask.shape == (2, 1, GRID.height, GRID.width) and mask.min() == 0 and mask.max() == 1
    for b, part in enumerate(boxes):
        for x, y in part[:, :2].tolist():
            assert mask[b, 0, int((y - GRID.y[0]) // GRID.cell), int((x - GRID.x[0]) // GRID.cell)] == 1
    assert (mask == 1).sum() == sum(map(len, boxes))


def test_key_points_against_loops() -> None:
    boxes, _ = tiny_boxes(2)
    # One box reaches over the grid's border.
    boxes[1][0, :2] = torch.tensor([GRID.x[1] - 0.3, GRID.y[0] + 0.2])
    expected = torch.zeros(2, 1, GRID.height, GRID.width)
    for b, part in enumerate(boxes):
        for x, y, _, length, width, _, yaw, _, _ in part.tolist():
            for i in (-0.5, 0, 0.5):
                for j in (-0.5, 0, 0.5):
                    px = x + math.cos(yaw) * i * length - math.sin(yaw) * j * width
                    py = y + math.sin(yaw) * i * length + math.cos(yaw) * j * width
                    for row in range(GRID.height):
                        for column in range(GRID.width):
                            cx, cy = GRID.x[0] + (column + 0.5) * GRID.cell, GRID.y[0] + (row + 0.5) * GRID.cell
                            near = max(0, 1 - abs(px - cx) / GRID.cell) * max(0, 1 - abs(py - cy) / GRID.cell)
                            expected[b, 0, row, column] = max(expected[b, 0, row, column].item(), near)
    torch.testing.assert_close(key_points_mask(boxes, GRID), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("draw", [gaussian_mask, key_points_mask])
def test_samples_without_boxes_get_an_empty_mask(draw) -> None:  # type: ignore[no-untyped-def]
    boxes, _ = tiny_boxes(1)
    mask = draw([torch.zeros(0, 9), boxes[0]], GRID)
    assert mask[0].sum() == 0 < mask[1].sum()
    assert draw([torch.zeros(0, 9)], GRID).shape == (1, 1, GRID.height, GRID.width)
