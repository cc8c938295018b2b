"""PillarMax on the CPU kernels; semantics in include/vexkd/pillar_max.h."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import call, cpu_workspace, dense, dtype_code, output, pointer


def pillar_max(
    features: NDArray[Any],
    cells: NDArray[np.int32],
    batch: int,
    height: int,
    width: int,
    threads: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Maximum of each channel over the points of each cell.

    Args:
        features: (M, C) float32 or float16; NaN and -infinity are ignored.
        cells: (M,) int32 in 0 .. batch*height*width - 1; points with others are dropped.
        batch: samples B.
        height: cells along y, H.
        width: cells along x, W.
        threads: 0 for all cores.
        out: memory for the result, to be used again and again in a loop.

    Returns:
        (B, C, H, W) of the features' dtype; 0 where a cell is empty.

    Raises:
        ValueError: a wrong dtype or shape.
        KernelError: sizes that are none or too large.

    """
    return _pillar_max(features, cells, (batch, height, width), out, None, threads)


def pillar_max_with_argmax(
    features: NDArray[Any], cells: NDArray[np.int32], batch: int, height: int, width: int, threads: int = 0
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """As :func:`pillar_max`, and the lowest row that attains each maximum: (B, C, H, W) int32, -1 where none does."""
    argmax = np.empty((batch, features.shape[-1], height, width), np.int32)
    return _pillar_max(features, cells, (batch, height, width), None, argmax, threads), argmax


def pillar_max_backward(
    grad_bev: NDArray[Any], argmax: NDArray[np.int32], points: int, threads: int = 0
) -> NDArray[Any]:
    """Gradient of the features (M, C) from that of the output (B, C, H, W), with M = ``points``."""
    code = dtype_code(grad_bev, "grad_bev")
    grad_bev = dense(grad_bev, grad_bev.dtype.type, (None,) * 4, "grad_bev")
    argmax = dense(argmax, np.int32, grad_bev.shape, "argmax")
    batch, channels, height, width = grad_bev.shape
    grad_features = np.empty((points, channels), grad_bev.dtype)
    sizes = (points, channels, batch, height, width)
    call("pillar_max_backward_cpu", pointer(grad_bev), code, pointer(argmax), *sizes, pointer(grad_features), threads)
    return grad_features


def _pillar_max(
    features: NDArray[Any],
    cells: NDArray[np.int32],
    size: tuple[int, int, int],
    out: NDArray[Any] | None,
    argmax: NDArray[np.int32] | None,
    threads: int,
) -> NDArray[Any]:
    code = dtype_code(features, "features")
    features = dense(features, features.dtype.type, (None, None), "features")
    cells = dense(cells, np.int32, (len(features),), "cells")
    batch, height, width = size
    bev = output(out, features.dtype, (batch, features.shape[1], height, width), "out")
    outputs = (pointer(bev), pointer(argmax))
    workspace = cpu_workspace("pillar_max", code, *features.shape, *size, int(argmax is not None))
    inputs = (pointer(features), code, pointer(cells))
    call("pillar_max_cpu", *inputs, *features.shape, *size, *outputs, threads, *workspace)
    return bev
