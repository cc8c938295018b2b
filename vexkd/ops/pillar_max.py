"""``vexkd::pillar_max``: per-cell channel maximum, with gradient."""

from typing import Any

import torch
from torch import Tensor

from vexkd.ops.autocast import autocast_like_matmul
from vexkd.ops.launch import check, dtype_code, launch


@torch.library.custom_op("vexkd::pillar_max", mutates_args=())
def pillar_max(features: Tensor, cells: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Maximum of each channel over the points of each cell.

    Args:
        features: (M, C) float32 or float16; NaN and -infinity are ignored.
        cells: (M,) int32 in 0 .. batch*height*width - 1; points with others are dropped.
        batch: samples B.
        height: cells along y, H.
        width: cells along x, W.

    Returns:
        (B, C, H, W) of the features' dtype, 0 where a cell is empty. The gradient goes to the lowest row that attains
        the maximum.

    Raises:
        ValueError: a wrong dtype, shape or device.
        KernelError: sizes that are none or too large.

    """
    return _forward(features, cells, (batch, height, width), None)


@pillar_max.register_fake
def _(features: Tensor, cells: Tensor, batch: int, height: int, width: int) -> Tensor:
    return features.new_empty(batch, features.shape[1], height, width)


@torch.library.custom_op("vexkd::pillar_max_backward", mutates_args=())
def pillar_max_backward(grad_bev: Tensor, features: Tensor, cells: Tensor) -> Tensor:
    """Gradient of the features (M, C) from that of the output (B, C, H, W).

    Finds the winning rows again: kept from the forward pass they would take as much memory as the output.
    """
    batch, channels, height, width = grad_bev.shape
    grad_bev = check("grad_bev", grad_bev, features.dtype, (batch, features.shape[1], height, width), features)
    argmax = cells.new_empty(batch, channels, height, width)
    _forward(features, cells, (batch, height, width), argmax)
    grad_features = features.new_empty(features.shape)
    sizes = (*features.shape, batch, height, width)
    code = dtype_code(features, "features")
    launch("pillar_max_backward", (grad_bev, code, argmax, *sizes, grad_features), None)
    return grad_features


@pillar_max_backward.register_fake
def _(grad_bev: Tensor, features: Tensor, cells: Tensor) -> Tensor:
    return features.new_empty(features.shape)


def _forward(features: Tensor, cells: Tensor, size: tuple[int, int, int], argmax: Tensor | None) -> Tensor:
    code = dtype_code(features, "features")
    features = check("features", features, features.dtype, (None, None), features)
    cells = check("cells", cells, torch.int32, (len(features),), features)
    bev = features.new_empty(size[0], features.shape[1], *size[1:])
    arguments = (features, code, cells, *features.shape, *size, bev, argmax)
    launch("pillar_max", arguments, (code, *features.shape, *size, int(argmax is not None)), maps=1)
    return bev


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[1])


def _backward(ctx: Any, grad_bev: Tensor) -> tuple[Tensor | None, ...]:
    features, cells = ctx.saved_tensors
    grad_features = pillar_max_backward(grad_bev, features, cells) if ctx.needs_input_grad[0] else None
    return grad_features, None, None, None, None


pillar_max.register_autograd(_backward, setup_context=_save)
autocast_like_matmul("pillar_max", pillar_max, half=True)
