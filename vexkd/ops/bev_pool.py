"""``vexkd::bev_pool``: lift-splat pooling, with gradients."""

from typing import Any

import torch
from torch import Tensor

from vexkd.ops.autocast import autocast_like_matmul
from vexkd.ops.launch import check, dtype_code, launch
from vexkd.plugins.library import BevPoolShape


@torch.library.custom_op("vexkd::bev_pool", mutates_args=())
def bev_pool(
    depth: Tensor, context: Tensor, points: Tensor, starts: Tensor, batch: int, height: int, width: int
) -> Tensor:
    """Sum of depth * context over the frustum points of each cell.

    Args:
        depth: (V, D, h, w) float32 or float16; V counts all cameras of the batch.
        context: (V, C, h, w) of the same dtype.
        points: (K,) int32 flat indices ((v*D + d)*h + y)*w + x, sorted by cell; no index twice, others are skipped.
        starts: (B*H*W + 1,) int32: cell c owns points[starts[c]:starts[c + 1]].
        batch: samples B.
        height: cells along y, H.
        width: cells along x, W.

    Returns:
        (B, C, H, W) of the inputs' dtype; sums are float32 in the points' order.

    Raises:
        ValueError: a wrong dtype, shape or device.
        KernelError: sizes that are none or too large.

    """
    code, shape, inputs = _prepare(depth, context, points, starts, (batch, height, width))
    bev = context.new_empty(batch, context.shape[1], height, width)
    depth, context, points, starts = inputs
    launch("bev_pool", (depth, context, code, points, starts, shape, bev), (code, shape), maps=2)
    return bev


@bev_pool.register_fake
def _(depth: Tensor, context: Tensor, points: Tensor, starts: Tensor, batch: int, height: int, width: int) -> Tensor:
    return context.new_empty(batch, context.shape[1], height, width)


@torch.library.custom_op("vexkd::bev_pool_backward", mutates_args=())
def bev_pool_backward(
    grad_bev: Tensor, depth: Tensor, context: Tensor, points: Tensor, starts: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of depth (V, D, h, w) and context (V, C, h, w) from that of the output (B, C, H, W)."""
    batch, _, height, width = grad_bev.shape
    code, shape, inputs = _prepare(depth, context, points, starts, (batch, height, width))
    grad_bev = check("grad_bev", grad_bev, context.dtype, (batch, context.shape[1], height, width), context)
    depth, context, points, starts = inputs
    # new_empty: what empty_like would inherit from a channels-last input is not the kernels' layout.
    grad_depth, grad_context = depth.new_empty(depth.shape), context.new_empty(context.shape)
    arguments = (grad_bev, depth, context, code, points, starts, shape, grad_depth, grad_context)
    launch("bev_pool_backward", arguments, (code, shape))
    return grad_depth, grad_context


@bev_pool_backward.register_fake
def _(grad_bev: Tensor, depth: Tensor, context: Tensor, points: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    return depth.new_empty(depth.shape), context.new_empty(context.shape)


def _prepare(
    depth: Tensor, context: Tensor, points: Tensor, starts: Tensor, size: tuple[int, int, int]
) -> tuple[int, BevPoolShape, tuple[Tensor, Tensor, Tensor, Tensor]]:
    code = dtype_code(depth, "depth")
    depth = check("depth", depth, depth.dtype, (None,) * 4, depth)
    views, _, height, width = depth.shape
    context = check("context", context, depth.dtype, (views, None, height, width), depth)
    points = check("points", points, torch.int32, (None,), depth)
    starts = check("starts", starts, torch.int32, (size[0] * size[1] * size[2] + 1,), depth)
    shape = BevPoolShape(*depth.shape, context.shape[1], len(points), *size)
    return code, shape, (depth, context, points, starts)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])


def _backward(ctx: Any, grad_bev: Tensor) -> tuple[Tensor | None, ...]:
    if not any(ctx.needs_input_grad[:2]):
        return (None,) * 7
    grad_depth, grad_context = bev_pool_backward(grad_bev, *ctx.saved_tensors)
    return grad_depth, grad_context, None, None, None, None, None


bev_pool.register_autograd(_backward, setup_context=_save)
autocast_like_matmul("bev_pool", bev_pool, half=True)
