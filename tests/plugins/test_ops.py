"""Torch operators: torch's own checks, gradients against finite differences, batches, autocast."""

import numpy as np
import pytest
import torch
from clouds import random_frustum, same_bits, values
from test_frustum import rays_of
from torch import Tensor
from torch.library import opcheck

import vexkd.ops  # noqa: F401  registers torch.ops.vexkd
from vexkd.plugins.bev_pool import bev_pool
from vexkd.plugins.frustum import frustum_index
from vexkd.plugins.library import KernelError
from vexkd.plugins.pillar_max import pillar_max
from vexkd.plugins.reference.images import prepare_images
from vexkd.plugins.voxelize import voxelize

ops = torch.ops.vexkd
RANGE, CELL = [-4.0, -3.0, -2.0, 4.0, 3.0, 2.0], [0.5, 0.25]
MEAN, DEVIATION = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def pool_inputs(seed: int, dtype: type = np.float32, channels: int = 5) -> tuple:
    """Tensor arguments of ``bev_pool``: 2 samples of 2 cameras."""
    case = random_frustum(np.random.default_rng(seed), 4, (3, 2, 3), channels, (2, 2, 3), dtype)
    tensors = [torch.from_numpy(array) for array in case.inputs[:4]]
    return (*tensors, *case.size)


def frustum_arguments(views: int = 4, batch: int = 2) -> tuple:
    """Arguments of ``frustum_index``: 3 depths of a feature map of 2 x 5 pixels."""
    rays, origins = map(torch.from_numpy, rays_of(views, np.random.default_rng(views)))
    return rays, origins, [0.5, 1.0, 2.75], 2, 5, 4, RANGE, CELL, batch


def pillar_inputs(seed: int, dtype: type = np.float32) -> tuple:
    """Tensor arguments of ``pillar_max`` without ties between features."""
    rng = np.random.default_rng(seed)
    features = rng.permutation(40 * 7).reshape(40, 7).astype(dtype) / 16 - 5
    cells = rng.integers(-1, 2 * 3 * 4, 40).astype(np.int32)
    return torch.from_numpy(features.astype(dtype)), torch.from_numpy(cells), 2, 3, 4


def test_opcheck() -> None:
    points = torch.randn(200, 5)
    opcheck(ops.voxelize.default, (points, torch.tensor([100, 50], dtype=torch.int32), RANGE, CELL))
    features, *rest = pillar_inputs(0)
    opcheck(ops.pillar_max.default, (features.requires_grad_(), *rest))
    depth, context, *rest = pool_inputs(0)
    opcheck(ops.frustum_index.default, frustum_arguments())
    opcheck(ops.bev_pool.default, (depth.requires_grad_(), context.requires_grad_(), *rest))


def test_operators_are_the_kernels() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 2, (60, 5)).astype(np.float32)
    counts = np.array([30, 11], np.int32)
    ours = ops.voxelize(torch.from_numpy(points), torch.from_numpy(counts), RANGE, CELL)
    for one, other in zip(ours, voxelize(points, counts, RANGE, CELL), strict=True):
        assert same_bits(one.numpy(), other)
    rays, origins, depths, *sizes, batch = frustum_arguments()
    index = ops.frustum_index(rays, origins, depths, *sizes, batch)
    bins = np.array(depths, np.float32)
    expected = frustum_index(rays.numpy(), origins.numpy(), bins, (2, 5), 4, RANGE, CELL, batch)
    for one, other in zip(index, expected, strict=True):
        assert same_bits(one.numpy(), other)
    for dtype in (np.float32, np.float16):
        features = values(rng, (50, 9), dtype, broken=0.1)
        cells = rng.integers(-1, 30, 50).astype(np.int32)
        bev = ops.pillar_max(torch.from_numpy(features), torch.from_numpy(cells), 1, 5, 6)
        assert same_bits(bev.numpy(), pillar_max(features, cells, 1, 5, 6))
        inputs = pool_inputs(1, dtype)
        arrays = [value.numpy() if isinstance(value, Tensor) else value for value in inputs]
        assert same_bits(ops.bev_pool(*inputs).numpy(), bev_pool(*arrays))


def raw_images(*size: int) -> Tensor:
    """(M, H, W, 3) uint8 noise."""
    return torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("views", [0, 3])
def test_prepared_images_are_the_references(views: int, dtype: torch.dtype) -> None:
    images = raw_images(views, 45, 80)
    opcheck(ops.prepare_images.default, (images, 26, 70, MEAN, DEVIATION, dtype))
    prepared = ops.prepare_images(images, 26, 70, MEAN, DEVIATION, dtype)
    numpy_dtype = {torch.float32: np.float32, torch.float16: np.float16}[dtype]
    assert same_bits(prepared.numpy(), prepare_images(images.numpy(), (26, 70), MEAN, DEVIATION, numpy_dtype))
    planes = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)  # the same images, not dense
    assert torch.equal(ops.prepare_images(planes, 26, 70, MEAN, DEVIATION, dtype), prepared)


def test_autocast_leaves_the_type_of_prepared_images() -> None:
    images = raw_images(1, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prepared = ops.prepare_images(images, 4, 4, MEAN, DEVIATION, torch.float32)
    assert torch.equal(prepared, ops.prepare_images(images, 4, 4, MEAN, DEVIATION, torch.float32))


def finite_difference(function, tensor: Tensor, weight: Tensor, step: float) -> Tensor:
    """Central differences of (function() * weight).sum() by each element of ``tensor``, in place."""
    slope = torch.empty_like(tensor)
    for index in range(tensor.numel()):
        element = tensor.view(-1)[index]
        kept = element.item()
        sums = []
        for value in (kept + step, kept - step):
            tensor.view(-1)[index] = value
            sums.append((function().double() * weight).sum())
        tensor.view(-1)[index] = kept
        slope.view(-1)[index] = (sums[0] - sums[1]) / (2 * step)
    return slope


def test_bev_pool_gradients_are_finite_differences() -> None:
    depth, context, *rest = pool_inputs(2)
    weight = torch.randn(2, 5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    leaves = depth.clone().requires_grad_(), context.clone().requires_grad_()
    (ops.bev_pool(*leaves, *rest) * weight.float()).sum().backward()
    # The output is linear in either input: a large step costs no accuracy.
    for leaf, tensor in zip(leaves, (depth, context), strict=True):
        expected = finite_difference(lambda: ops.bev_pool(depth, context, *rest), tensor, weight, 1.0)
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-4, atol=1e-5)


def test_pillar_max_gradient_is_finite_differences() -> None:
    features, *rest = pillar_inputs(3)
    weight = torch.randn(2, 7, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    leaf = features.clone().requires_grad_()
    (ops.pillar_max(leaf, *rest) * weight.float()).sum().backward()
    # A step under half the distance of two features never changes the winner.
    expected = finite_difference(lambda: ops.pillar_max(features, *rest), features, weight, 1 / 64)
    torch.testing.assert_close(leaf.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_gradient_of_one_input_alone(needs: tuple[bool, bool]) -> None:
    depth, context, *rest = pool_inputs(4)
    both = depth.clone().requires_grad_(), context.clone().requires_grad_()
    ops.bev_pool(*both, *rest).square().sum().backward()
    alone = depth.clone().requires_grad_(needs[0]), context.clone().requires_grad_(needs[1])
    ops.bev_pool(*alone, *rest).square().sum().backward()
    for wanted, one, other in zip(needs, both, alone, strict=True):
        assert torch.equal(one.grad, other.grad) if wanted else other.grad is None


def test_a_batch_is_its_samples_side_by_side() -> None:
    points = torch.from_numpy(np.random.default_rng(5).normal(0, 2, (3, 40, 5)).astype(np.float32))
    counts = torch.tensor([40, 0, 17], dtype=torch.int32)
    features, cells = ops.voxelize(points.flatten(0, 1), counts, RANGE, CELL)
    bev = ops.pillar_max(features, cells, 3, 24, 16)
    for sample in range(3):
        alone, own = ops.voxelize(points[sample], counts[sample : sample + 1], RANGE, CELL)
        assert torch.equal(features.view(3, 40, 11)[sample], alone)
        kept = own >= 0
        assert torch.equal(cells.view(3, 40)[sample][kept], own[kept] + sample * 24 * 16)
        assert torch.equal(ops.pillar_max(alone, own, 1, 24, 16)[0], bev[sample])


def test_other_memory_layouts_are_read_right() -> None:
    depth, context, *rest = pool_inputs(6)
    expected = ops.bev_pool(depth, context, *rest)
    moved = context.contiguous(memory_format=torch.channels_last).requires_grad_()
    result = ops.bev_pool(depth, moved, *rest)
    assert torch.equal(result, expected)
    result.contiguous(memory_format=torch.channels_last).sum().backward()
    plain = context.clone().requires_grad_()
    ops.bev_pool(depth, plain, *rest).sum().backward()
    assert torch.equal(moved.grad, plain.grad)


def test_autocast_on_the_cpu_computes_in_float32() -> None:
    depth, context, *rest = pool_inputs(7)
    features, *more = pillar_inputs(7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = ops.bev_pool(depth, context.bfloat16(), *rest)
        leaf = features.bfloat16().requires_grad_()
        bev = ops.pillar_max(leaf, *more)
    assert pooled.dtype == bev.dtype == torch.float32
    assert torch.equal(pooled, ops.bev_pool(depth, context.bfloat16().float(), *rest))
    bev.sum().backward()
    assert leaf.grad.dtype == torch.bfloat16


def test_refuses_wrong_tensors() -> None:
    depth, context, *rest = pool_inputs(8)
    with pytest.raises(ValueError, match=r"context must be torch\.float32"):
        ops.bev_pool(depth, context.half(), *rest)
    with pytest.raises(ValueError, match="float32 or float16"):
        ops.bev_pool(depth.double(), context.double(), *rest)
    with pytest.raises(ValueError, match="starts must be"):
        ops.bev_pool(depth, context, rest[0], rest[1][:-1], *rest[2:])
    with pytest.raises(ValueError, match=r"cells must be torch\.int32"):
        ops.pillar_max(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), 1, 2, 2)
    rays, origins, *rest = frustum_arguments()
    with pytest.raises(ValueError, match=r"origins must be torch\.float32 \(4, 3\)"):
        ops.frustum_index(rays, origins[:3], *rest)
    with pytest.raises(KernelError, match="invalid"):
        ops.frustum_index(rays, origins, *rest[:-1], 3)
    with pytest.raises(KernelError, match="invalid"):
        ops.frustum_index(rays, origins, rest[0], -2, *rest[2:])
    with pytest.raises(ValueError, match="same number of rows"):
        ops.voxelize(torch.zeros(5, 5), torch.zeros(2, dtype=torch.int32), RANGE, CELL)


def test_prepare_images_refuses_what_are_no_images() -> None:
    def prepare(images: Tensor, size: tuple[int, int] = (4, 4), **changed: object) -> None:
        constants = {"mean": MEAN, "deviation": DEVIATION, "dtype": torch.float32} | changed
        ops.prepare_images(images, *size, **constants)

    images = raw_images(1, 8, 8)
    for wrong in (images.float(), images[0], images[..., :2], images.permute(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"images must be torch\.uint8 \(any, any, any, 3\)"):
            prepare(wrong)
    with pytest.raises(ValueError, match="float32 or float16"):
        prepare(images, dtype=torch.bfloat16)
    for name in ("mean", "deviation"):
        with pytest.raises(ValueError, match=f"{name} must be 3 numbers"):
            prepare(images, **{name: [1.0]})
    for empty in (images[:, :0], images[:, :, :0]):
        with pytest.raises(KernelError, match="invalid"):
            prepare(empty)
    with pytest.raises(KernelError, match="invalid"):
        prepare(images, deviation=[1.0, 0.0, 1.0])
    with pytest.raises(KernelError, match="would not fit in 32 bits"):
        prepare(images[:0], (2**15 + 1, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_autocast_on_cuda_computes_in_float16() -> None:
    depth, context, points, starts, *size = (
        value.cuda() if isinstance(value, Tensor) else value for value in pool_inputs(9)
    )
    with torch.autocast("cuda", dtype=torch.float16):
        assert ops.bev_pool(depth, context, points, starts, *size).dtype == torch.float16
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert ops.bev_pool(depth, context, points, starts, *size).dtype == torch.float32
