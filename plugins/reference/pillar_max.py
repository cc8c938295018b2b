"""PillarMax in numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pillar_max(features: NDArray[Any], cells: NDArray[np.int32], batch: int, height: int, width: int) -> NDArray[Any]:
    """Per-cell channel maximum (B, C, H, W) of features (M, C), cells (M,); 0 where empty."""
    return pillar_max_with_argmax(features, cells, batch, height, width)[0]


def pillar_max_with_argmax(
    features: NDArray[Any], cells: NDArray[np.int32], batch: int, height: int, width: int
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """The maxima, and the lowest row that attains each, -1 where none does."""
    channels = features.shape[1]
    best = np.full((batch * height * width, channels), -np.inf, features.dtype)
    winner = np.full(best.shape, -1, np.int32)
    for row, cell in enumerate(cells):
        if 0 <= cell < len(best):
            wins = features[row] > best[cell]  # false for NaN and -inf
            best[cell][wins] = features[row][wins]
            winner[cell][wins] = row
    best = np.where(winner < 0, 0, best) + best.dtype.type(0)  # -0 becomes +0
    return _to_bev(best, batch, height, width), _to_bev(winner, batch, height, width)


def pillar_max_backward(grad_bev: NDArray[Any], argmax: NDArray[np.int32], points: int) -> NDArray[Any]:
    """Gradient of the features (points, C) from grad_bev (B, C, H, W) and argmax (B, C, H, W)."""
    grad_features = np.zeros((points, grad_bev.shape[1]), grad_bev.dtype)
    sample, channel, y, x = np.nonzero((argmax >= 0) & (argmax < points))
    grad_features[argmax[sample, channel, y, x], channel] = grad_bev[sample, channel, y, x]
    return grad_features


def _to_bev(values: NDArray[Any], batch: int, height: int, width: int) -> NDArray[Any]:
    return np.ascontiguousarray(values.reshape(batch, height, width, -1).transpose(0, 3, 1, 2))
