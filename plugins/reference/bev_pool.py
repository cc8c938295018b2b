"""BevPool in numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.reference.cells import F32


def bev_pool(
    depth: NDArray[Any],
    context: NDArray[Any],
    points: NDArray[np.int32],
    starts: NDArray[np.int32],
    batch: int,
    height: int,
    width: int,
) -> NDArray[Any]:
    """Sum of depth * context over the points of each cell: (B, C, H, W) of the inputs' dtype."""
    cells = batch * height * width
    weights, rows = depth.reshape(-1).astype(F32), _channels_last(context)
    sums = np.zeros((cells, context.shape[1]), F32)
    starts = _harmless(starts, len(points))
    for cell in range(cells):
        for point in _listed(points, starts, cell, depth.size):
            sums[cell] += weights[point] * rows[_pixel(point, depth.shape)]
    bev = sums.reshape(batch, height, width, -1).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(bev).astype(context.dtype)


def bev_pool_backward(
    grad_bev: NDArray[Any],
    depth: NDArray[Any],
    context: NDArray[Any],
    points: NDArray[np.int32],
    starts: NDArray[np.int32],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gradients of depth (V, D, h, w) and context (V, C, h, w) from grad_bev (B, C, H, W)."""
    weights, rows, gradients = depth.reshape(-1).astype(F32), _channels_last(context), _channels_last(grad_bev)
    grad_depth, grad_rows = np.zeros(depth.size, F32), np.zeros_like(rows)
    starts = _harmless(starts, len(points))
    # Per pixel the sum runs over the depth bins in their order, which is that of the points' indices.
    listed = [(point, cell) for cell in range(len(gradients)) for point in _listed(points, starts, cell, depth.size)]
    for point, cell in sorted(listed):
        pixel = _pixel(point, depth.shape)
        grad_depth[point] = gradients[cell] @ rows[pixel]
        grad_rows[pixel] += weights[point] * gradients[cell]
    views, _, height, width = depth.shape
    grad_context = grad_rows.reshape(views, height, width, -1).transpose(0, 3, 1, 2)
    return grad_depth.reshape(depth.shape).astype(depth.dtype), np.ascontiguousarray(grad_context).astype(depth.dtype)


def _channels_last(values: NDArray[Any]) -> NDArray[np.float32]:
    """(outer, C, h, w) to (outer * h * w, C) float32."""
    return values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1]).astype(F32)


def _pixel(point: int, shape: tuple[int, ...]) -> int:
    """Row of a frustum point's pixel in the channels-last context."""
    _, depths, height, width = shape
    return point // (depths * height * width) * height * width + point % (height * width)


def _harmless(starts: NDArray[np.int32], capacity: int) -> NDArray[np.int32]:
    """Row starts within the list of points; all 0 if they are no table, as bev_pool.h says."""
    clamped = np.clip(starts, 0, capacity)
    return clamped if (clamped[1:] >= clamped[:-1]).all() else np.zeros_like(clamped)


def _listed(points: NDArray[np.int32], starts: NDArray[np.int32], cell: int, frustum: int) -> list[int]:
    """The frustum points of a cell without those that are none."""
    return [int(point) for point in points[starts[cell] : starts[cell + 1]] if 0 <= point < frustum]
