"""BevPool on the CPU kernels; semantics in include/vexkd/bev_pool.h."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import BevPoolShape, call, cpu_workspace, dense, dtype_code, pointer


def bev_pool(
    depth: NDArray[Any],
    context: NDArray[Any],
    points: NDArray[np.int32],
    starts: NDArray[np.int32],
    batch: int,
    height: int,
    width: int,
    threads: int = 0,
) -> NDArray[Any]:
    """Sum of depth * context over the frustum points of each cell.

    Args:
        depth: (V, D, h, w) float32 or float16; V counts all cameras of the batch.
        context: (V, C, h, w) of the same dtype.
        points: (K,) int32 flat indices ((v*D + d)*h + y)*w + x, sorted by cell; others are skipped.
        starts: (B*H*W + 1,) int32: cell c owns points[starts[c]:starts[c + 1]].
        batch: samples B.
        height: cells along y, H.
        width: cells along x, W.
        threads: 0 for all cores.

    Returns:
        (B, C, H, W) of the inputs' dtype; sums are float32 in the points' order.

    Raises:
        ValueError: a wrong dtype or shape.
        KernelError: sizes that are none or too large.

    """
    code, shape, depth, context, points, starts = _prepare(depth, context, points, starts, (batch, height, width))
    bev = np.empty((batch, context.shape[1], height, width), context.dtype)
    inputs = (pointer(depth), pointer(context), code, pointer(points), pointer(starts))
    workspace = cpu_workspace("bev_pool", code, ctypes.byref(shape))
    call("bev_pool_cpu", *inputs, ctypes.byref(shape), pointer(bev), threads, *workspace)
    return bev


def bev_pool_backward(
    grad_bev: NDArray[Any],
    depth: NDArray[Any],
    context: NDArray[Any],
    points: NDArray[np.int32],
    starts: NDArray[np.int32],
    threads: int = 0,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gradients of depth (V, D, h, w) and context (V, C, h, w) from that of the output (B, C, H, W)."""
    grad_bev = dense(grad_bev, depth.dtype.type, (None, context.shape[1], None, None), "grad_bev")
    batch, _, height, width = grad_bev.shape
    code, shape, depth, context, points, starts = _prepare(depth, context, points, starts, (batch, height, width))
    grad_depth, grad_context = np.empty_like(depth), np.empty_like(context)
    inputs = (pointer(grad_bev), pointer(depth), pointer(context), code, pointer(points), pointer(starts))
    outputs = (pointer(grad_depth), pointer(grad_context))
    workspace = cpu_workspace("bev_pool_backward", code, ctypes.byref(shape))
    call("bev_pool_backward_cpu", *inputs, ctypes.byref(shape), *outputs, threads, *workspace)
    return grad_depth, grad_context


def _prepare(
    depth: NDArray[Any],
    context: NDArray[Any],
    points: NDArray[np.int32],
    starts: NDArray[np.int32],
    size: tuple[int, int, int],
) -> tuple[int, BevPoolShape, NDArray[Any], NDArray[Any], NDArray[np.int32], NDArray[np.int32]]:
    code = dtype_code(depth, "depth")
    depth = dense(depth, depth.dtype.type, (None,) * 4, "depth")
    views, depths, feature_height, feature_width = depth.shape
    context = dense(context, depth.dtype.type, (views, None, feature_height, feature_width), "context")
    points = dense(points, np.int32, (None,), "points")
    starts = dense(starts, np.int32, (size[0] * size[1] * size[2] + 1,), "starts")
    shape = BevPoolShape(views, depths, feature_height, feature_width, context.shape[1], len(points), *size)
    return code, shape, depth, context, points, starts
