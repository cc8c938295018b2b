"""``vexkd::voxelize``: points to pillars."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vexkd.ops.autocast import autocast_like_matmul
from vexkd.ops.launch import check, launch
from vexkd.plugins.library import F32, make_grid
from vexkd.plugins.voxelize import POINT_FEATURES, POINT_SIZE


@torch.library.custom_op("vexkd::voxelize", mutates_args=())
def voxelize(points: Tensor, counts: Tensor, range: Sequence[float], cell: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Assign LiDAR points to pillars; has no gradient.

    Args:
        points: (B*N, 5) float32, x y z in metres, intensity, age in seconds.
        counts: (B,) int32 valid points of each sample.
        range: x_min, y_min, z_min, x_max, y_max, z_max in metres.
        cell: cell_x, cell_y in metres.

    Returns:
        features (B*N, 11) float32: the 5 inputs, offset to the pillar's mean (3), offset to the cell's centre (3);
        cells (B*N,) int32, -1 for a dropped point, whose features are 0.

    Raises:
        ValueError: a wrong dtype, shape or device.
        KernelError: the range is no grid.

    """
    points = check("points", points, torch.float32, (None, POINT_SIZE), points)
    counts = check("counts", counts, torch.int32, (None,), points)
    batch, rows = len(counts), len(points)
    if batch == 0 or rows % batch != 0:
        raise ValueError(f"points must have the same number of rows for each of {batch} samples, got {rows}")
    grid = make_grid(range, cell)
    features = points.new_empty(rows, POINT_FEATURES)
    cells = counts.new_empty(rows)
    capacity = rows // batch
    launch("voxelize", (points, counts, batch, capacity, grid, F32, features, cells), (batch, capacity, grid))
    return features, cells


@voxelize.register_fake
def _(points: Tensor, counts: Tensor, range: Sequence[float], cell: Sequence[float]) -> tuple[Tensor, Tensor]:
    return points.new_empty(points.shape[0], POINT_FEATURES), counts.new_empty(points.shape[0])


autocast_like_matmul("voxelize", voxelize, half=False)
