"""frustum_index in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.reference.cells import F32, flat_cells, grid_size, locate


def frustum_index(
    rays: NDArray[np.float32],
    origins: NDArray[np.float32],
    depths: NDArray[np.float32],
    feature_size: tuple[int, int],
    stride: int,
    range: Sequence[float],
    cell: Sequence[float],
    batch: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Points (V*D*h*w,) sorted by cell, -1 at the end, and starts (B*H*W + 1,)."""
    height, width = grid_size(range, cell)
    xyz = frustum_positions(rays, origins, depths, feature_size, stride).reshape(-1, 3)
    index, inside = locate(xyz, range, cell)
    per_sample = len(xyz) // batch
    sample = np.arange(len(xyz)) // per_sample
    cells = np.where(inside, flat_cells(index, inside, width) + sample * height * width, -1)

    order = np.argsort(cells, kind="stable")
    listed = order[cells[order] >= 0]
    points = np.full(len(cells), -1, np.int32)
    points[: len(listed)] = listed
    starts = np.searchsorted(cells[listed], np.arange(batch * height * width + 1))
    return points, starts.astype(np.int32)


def frustum_positions(
    rays: NDArray[np.float32],
    origins: NDArray[np.float32],
    depths: NDArray[np.float32],
    feature_size: tuple[int, int],
    stride: int,
) -> NDArray[np.float32]:
    """Positions (V, D, h, w, 3) float32 of all frustum points in ego, metres."""
    v, u = ((np.arange(size).astype(F32) + F32(0.5)) * F32(stride) - F32(0.5) for size in feature_size)
    m = rays[:, :, :, None, None]
    with np.errstate(invalid="ignore", over="ignore"):
        direction = (m[:, :, 0] * u[None, None, None, :] + m[:, :, 1] * v[None, None, :, None]) + m[:, :, 2]
        position = direction[:, None] * depths[None, :, None, None, None] + origins[:, None, :, None, None]
    return position.transpose(0, 1, 3, 4, 2)
