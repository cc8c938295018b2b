"""Voxelize on the CPU kernels; semantics in include/vexkd/voxelize.h."""

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import F32, call, cpu_workspace, dense, make_grid, output, pointer

POINT_SIZE = 5
POINT_FEATURES = 11


def voxelize(
    points: NDArray[np.float32],
    counts: NDArray[np.int32],
    range: Sequence[float],
    cell: Sequence[float],
    threads: int = 0,
    out: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Assign points to pillars and describe each point by its pillar.

    Args:
        points: (B*N, 5) float32, x y z in metres, intensity, age in seconds.
        counts: (B,) int32 valid points of each sample.
        range: x_min, y_min, z_min, x_max, y_max, z_max in metres.
        cell: cell_x, cell_y in metres.
        threads: 0 for all cores.
        out: memory for the results, to be used again and again in a loop.

    Returns:
        features (B*N, 11) float32: the 5 inputs, offset to the pillar's mean (3), offset to the cell's centre (3);
        cells (B*N,) int32, -1 for a dropped point, whose features are 0.

    Raises:
        ValueError: a wrong dtype or shape, or B*N is no multiple of B.
        KernelError: the range is no grid.

    """
    points = dense(points, np.float32, (None, POINT_SIZE), "points")
    counts = dense(counts, np.int32, (None,), "counts")
    if len(counts) == 0 or len(points) % len(counts) != 0:
        raise ValueError(
            f"points must have the same number of rows for each of {len(counts)} samples, got {len(points)}"
        )
    grid = make_grid(range, cell)
    features = output(out and out[0], np.float32, (len(points), POINT_FEATURES), "out[0]")
    cells = output(out and out[1], np.int32, (len(points),), "out[1]")
    sizes = (len(counts), len(points) // len(counts), ctypes.byref(grid))
    outputs = (F32, pointer(features), pointer(cells))
    workspace = cpu_workspace("voxelize", *sizes)
    call("voxelize_cpu", pointer(points), pointer(counts), *sizes, *outputs, threads, *workspace)
    return features, cells
