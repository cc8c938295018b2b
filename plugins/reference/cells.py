"""Cell arithmetic of include/vexkd/types.h, which every operator and every language shares."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = np.float32


def grid_size(range: Sequence[float], cell: Sequence[float]) -> tuple[int, int]:
    """(height, width) in cells."""
    low, high, side = np.array(range[:2], F32), np.array(range[3:5], F32), np.array(cell, F32)
    width, height = np.rint((high.astype(np.float64) - low) / side).astype(int)
    return int(height), int(width)


def locate(
    xyz: NDArray[np.float32], range: Sequence[float], cell: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cell indices (N, 2) float32 along x and y, and which of the positions (N, 3) lie inside the range."""
    low, high = np.array(range[:3], F32), np.array(range[3:], F32)
    height, width = grid_size(range, cell)
    with np.errstate(invalid="ignore", over="ignore"):
        index = np.floor((xyz[:, :2] - low[:2]) / np.array(cell, F32))
        inside = ((index >= 0) & (index < np.array([width, height], F32))).all(axis=1)
        inside &= (xyz[:, 2] >= low[2]) & (xyz[:, 2] < high[2])
    return index, inside


def flat_cells(index: NDArray[np.float32], inside: NDArray[np.bool_], width: int) -> NDArray[np.int64]:
    """Iy * W + ix, or -1 for what is not inside."""
    ix, iy = np.where(inside[:, None], index, 0).astype(np.int64).T
    return np.where(inside, iy * width + ix, -1)
