"""Voxelize in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.reference.cells import F32, flat_cells, grid_size, locate


def voxelize(
    points: NDArray[np.float32], counts: NDArray[np.int32], range: Sequence[float], cell: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features (B*N, 11) float32 and cells (B*N,) int32 of points (B*N, 5), counts (B,)."""
    batch, capacity = len(counts), len(points) // len(counts)
    height, width = grid_size(range, cell)
    low, high, side = np.array(range[:3], F32), np.array(range[3:], F32), np.array(cell, F32)

    index, inside = locate(points[:, :3], range, cell)
    sample, position = np.divmod(np.arange(batch * capacity), max(capacity, 1))
    valid = inside & np.isfinite(points).all(axis=1) & (position < np.clip(counts, 0, capacity)[sample])
    cells = np.where(valid, flat_cells(index, valid, width) + sample * height * width, -1)

    points, index = np.where(valid[:, None], points, 0), np.where(valid[:, None], index, 0)
    centre_xy = (index + F32(0.5)) * side + low[:2]
    centre_z = np.broadcast_to((low[2] + high[2]) * F32(0.5), (len(points), 1))
    offset = points[:, :3] - np.concatenate([centre_xy, centre_z], axis=1)

    # The mean of each pillar by fixed-point sums, which have no order.
    extent = np.array([side[0], side[1], high[2] - low[2]], F32)
    scale = np.exp2(30 - np.frexp(extent)[1]).astype(F32)
    fixed = np.rint(np.clip(offset * scale, -(2.0**30), 2.0**30)).astype(np.int64)
    pillars, pillar = np.unique(cells, return_inverse=True)
    sums = np.zeros((len(pillars), 3), np.int64)
    np.add.at(sums, pillar, fixed)
    members = np.bincount(pillar, minlength=len(pillars)).astype(F32)
    mean = sums.astype(F32) / members[:, None] * (1 / scale)

    features = np.concatenate([points, offset - mean[pillar], offset], axis=1)
    return np.where(valid[:, None], features, F32(0)), cells.astype(np.int32)
