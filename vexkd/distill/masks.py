"""Fixed masks of other methods, to compare the learned ones with. All are (B, 1, H, W) float32."""

import torch
from torch import Tensor

from vexkd.geometry import LENGTH, WIDTH, YAW, BevGrid, X, Y
from vexkd.models.center_targets import draw_gaussians, gaussian_radius

TEMPERATURE = 0.5


def whole_mask(feature: Tensor) -> Tensor:
    """Every position of feature (B, C, H, W) alike."""
    return feature.new_ones(feature.shape[0], 1, *feature.shape[2:], dtype=torch.float32)


def activation_mask(feature: Tensor) -> Tensor:
    """Softmax over positions of (mean_c |F| / 0.5), times H * W, so that its mean is 1 (DistillBEV).

    A weight of the loss, not of the features: a loss that squares masked features takes its square root.
    """
    magnitude = feature.float().abs().mean(1, keepdim=True)
    weight = (magnitude.flatten(1) / TEMPERATURE).softmax(dim=1)
    return (weight * weight.shape[1]).view_as(magnitude)


def gaussian_mask(boxes: list[Tensor], grid: BevGrid) -> Tensor:
    """CenterNet Gaussians at the centres of boxes (M_b, 9), overlap 0.1, radius at least 1 (BEVDistill)."""
    sample, box = _join(boxes)
    column = ((box[:, X] - grid.x[0]) / grid.cell).floor().long()
    row = ((box[:, Y] - grid.y[0]) / grid.cell).floor().long()
    radius = gaussian_radius(box[:, LENGTH] / grid.cell, box[:, WIDTH] / grid.cell).clamp(min=1)
    inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
    shape = (len(boxes), grid.height, grid.width)
    return draw_gaussians(shape, sample[inside], column[inside], row[inside], radius[inside])[:, None]


def key_points_mask(boxes: list[Tensor], grid: BevGrid) -> Tensor:
    """Nine points per box (M_b, 9): corners, edge midpoints, centre (UniDistill).

    Each point gives its bilinear weights to the four cells around it; a cell keeps the largest.
    """
    sample, box = _join(boxes)
    steps = torch.tensor([-0.5, 0.0, 0.5], device=box.device)
    along, across = (part.flatten() for part in torch.meshgrid(steps, steps, indexing="ij"))
    along, across = along * box[:, LENGTH, None], across * box[:, WIDTH, None]
    cos, sin = box[:, YAW, None].cos(), box[:, YAW, None].sin()
    x = box[:, X, None] + cos * along - sin * across
    y = box[:, Y, None] + sin * along + cos * across
    u = (x - grid.x[0]) / grid.cell - 0.5
    v = (y - grid.y[0]) / grid.cell - 0.5
    mask = torch.zeros(len(boxes) * grid.height * grid.width, device=box.device)
    for right in (0, 1):
        for down in (0, 1):
            column, row = u.floor().long() + right, v.floor().long() + down
            weight = (1 - (u - column).abs()) * (1 - (v - row).abs())
            inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
            index = (sample[:, None] * grid.height + row) * grid.width + column
            mask.scatter_reduce_(0, index[inside], weight[inside], "amax")
    return mask.view(len(boxes), 1, grid.height, grid.width)


def _join(boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sample number of each box (M,) and all boxes (M, 9) float32."""
    joined = torch.cat(boxes).float()
    counts = torch.tensor([len(part) for part in boxes], device=joined.device)
    return torch.repeat_interleave(torch.arange(len(boxes), device=joined.device), counts), joined
