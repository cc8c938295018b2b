"""Training targets of the centre head: Gaussians at object centres and the numbers regressed there (CenterPoint)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vexkd.classes import DETECTION_CLASSES
from vexkd.config import HeadConfig
from vexkd.geometry import HEIGHT, LENGTH, VX, VY, WIDTH, YAW, BevGrid, X, Y, Z

CODES = ("offset_x", "offset_y", "z", "log_length", "log_width", "log_height", "sin", "cos", "vx", "vy")
"""What the head regresses for each box, in this order; offsets in cells from the cell's lower corner."""

MIN_OVERLAP = 0.1
MIN_RADIUS = 2


class CenterTargets(NamedTuple):
    """Targets of B samples with at most M boxes, over n classes and G groups.

    Attributes:
        heatmap: (B, n, H, W) float32, channels as :func:`class_layout` orders them.
        place: (B, M) int64, group * H * W + cell of each box; 0 where not ``valid``.
        codes: (B, M, 10) float32 as ``CODES``; velocity NaN where unknown, all 0 where not ``valid``.
        group: (B, M) int64.
        valid: (B, M) bool: the centre lies in the grid and the class belongs to a group.
    """

    heatmap: Tensor
    place: Tensor
    codes: Tensor
    group: Tensor
    valid: Tensor


def class_layout(config: HeadConfig) -> tuple[list[int], list[int]]:
    """Label and group of each heat-map channel: the groups' classes one after the other."""
    labels = [DETECTION_CLASSES.index(name) for group in config.groups for name in group]
    groups = [number for number, group in enumerate(config.groups) for _ in group]
    return labels, groups


def center_targets(boxes: list[Tensor], labels: list[Tensor], config: HeadConfig, grid: BevGrid) -> CenterTargets:
    """Targets for B lists of boxes (M_b, 9) and labels (M_b,); boxes outside the grid or all groups are left out."""
    box = pad_sequence([b.float() for b in boxes], batch_first=True)
    label = pad_sequence([part.long() for part in labels], batch_first=True, padding_value=-1)
    device = box.device
    channel_of, group_of = (torch.full((len(DETECTION_CLASSES) + 1,), -1) for _ in range(2))
    for number, (known, member) in enumerate(zip(*class_layout(config), strict=True)):
        channel_of[known], group_of[known] = number, member
    # Labels below zero pick the table's last entry, -1.
    label = label.clamp(min=-1)
    channel, group = channel_of.to(device)[label], group_of.to(device)[label]

    u, v = (box[..., X] - grid.x[0]) / grid.cell, (box[..., Y] - grid.y[0]) / grid.cell
    ix, iy = u.floor(), v.floor()
    inside = (ix >= 0) & (ix < grid.width) & (iy >= 0) & (iy < grid.height)
    valid = inside & (channel >= 0)
    column, row = (torch.where(valid, i, 0).long() for i in (ix, iy))
    group = torch.where(valid, group, 0)

    size = box[..., [LENGTH, WIDTH, HEIGHT]].clamp(min=1e-3)
    parts = [u - ix, v - iy, box[..., Z], *size.log().unbind(-1), box[..., YAW].sin(), box[..., YAW].cos()]
    codes = torch.stack([*parts, box[..., VX], box[..., VY]], dim=-1)

    channels = len(class_layout(config)[0])
    plane = torch.arange(len(boxes), device=device)[:, None] * channels + channel
    radius = gaussian_radius(size[..., 0] / grid.cell, size[..., 1] / grid.cell).clamp(min=MIN_RADIUS)
    shape = (len(boxes) * channels, grid.height, grid.width)
    heatmap = draw_gaussians(shape, plane[valid], column[valid], row[valid], radius[valid])
    return CenterTargets(
        heatmap=heatmap.view(len(boxes), channels, grid.height, grid.width),
        place=torch.where(valid, (group * grid.height + row) * grid.width + column, 0),
        codes=torch.where(valid[..., None], codes, 0.0),
        group=group,
        valid=valid,
    )


def gaussian_radius(length: Tensor, width: Tensor, overlap: float = MIN_OVERLAP) -> Tensor:
    """Whole cells by which a box (in cells) may be displaced, shrunk or grown and still overlap itself this much.

    The smallest root of CornerNet's three quadratic conditions, each solved exactly (public code divides two of
    them by 2 where the leading coefficient is not 1), rounded down.
    """
    total, area = length + width, length * width
    displaced = (total - (total**2 - 4 * area * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()) / 2
    shrunk = (total - (total**2 - 4 * (1 - overlap) * area).clamp(min=0).sqrt()) / 4
    grown = (-overlap * total + ((overlap * total) ** 2 + 4 * overlap * (1 - overlap) * area).sqrt()) / (4 * overlap)
    return torch.minimum(displaced, torch.minimum(shrunk, grown)).floor()


def draw_gaussians(shape: tuple[int, int, int], plane: Tensor, column: Tensor, row: Tensor, radius: Tensor) -> Tensor:
    """Planes ``shape`` (P, H, W) with the maximum of Gaussians, 1 at their centres, 0 beyond their square windows.

    Args:
        shape: planes, height and width.
        plane: (M,) int64.
        column: (M,) int64, of a centre.
        row: (M,) int64, of a centre.
        radius: (M,) half of a window's side in cells; the standard deviation is (2 * radius + 1) / 6.
    """
    _, height, width = shape
    canvas = torch.zeros(shape, device=radius.device)
    if len(radius) == 0:
        return canvas
    reach = int(radius.max())
    step = torch.arange(-reach, reach + 1, device=radius.device)
    dx, dy = step[None, None, :], step[None, :, None]
    x, y = column[:, None, None] + dx, row[:, None, None] + dy
    limit = radius[:, None, None]
    value = torch.exp(-(dx**2 + dy**2) / (2 * ((2 * limit + 1) / 6) ** 2))
    drawn = (dx.abs() <= limit) & (dy.abs() <= limit) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = torch.where(drawn, (plane[:, None, None] * height + y) * width + x, 0)
    canvas.view(-1).scatter_reduce_(0, index.flatten(), torch.where(drawn, value, 0.0).flatten(), "amax")
    return canvas
