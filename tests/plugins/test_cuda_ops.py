"""The torch operators on CUDA tensors against the same operators on the CPU, gradients included."""

from typing import Any

import numpy as np
import pytest
import torch
from clouds import GridCase, points_near, random_frustum, values
from test_frustum import rays_of
from torch import Tensor

import vexkd.ops  # noqa: F401  registers torch.ops.vexkd

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
ops = torch.ops.vexkd
GRID = GridCase((-4.0, -3.0, -2.0, 4.0, 3.0, 2.0), (0.5, 0.25), 24, 16)


def on_gpu(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.detach().cuda() if isinstance(value, Tensor) else value for value in arguments)


def with_gradients(operator: Any, arguments: tuple[Any, ...], inputs: int) -> list[Tensor]:
    """The result, then the gradients of the first ``inputs`` arguments to a fixed weighting of it."""
    leaves = [value.clone().requires_grad_() for value in arguments[:inputs]]
    result = operator(*leaves, *arguments[inputs:])
    weights = torch.linspace(-1, 1, result.numel(), dtype=torch.float64).reshape(result.shape)
    (result * weights.to(result)).sum().backward()
    return [result.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves if leaf.grad is not None)]


def test_voxelize() -> None:
    points = torch.from_numpy(points_near(np.random.default_rng(0), GRID, 6_000))
    arguments = (points, torch.tensor([2_000, 1_500, 0], dtype=torch.int32), list(GRID.range), list(GRID.cell))
    for ours, theirs in zip(ops.voxelize(*on_gpu(arguments)), ops.voxelize(*arguments), strict=True):
        assert torch.equal(ours.cpu(), theirs)


def test_frustum_index() -> None:
    rays, origins = map(torch.from_numpy, rays_of(12, np.random.default_rng(4)))
    depths = np.arange(0.5, 9, 0.25).tolist()
    arguments = (rays, origins, depths, 8, 22, 4, list(GRID.range), list(GRID.cell), 2)
    for ours, theirs in zip(ops.frustum_index(*on_gpu(arguments)), ops.frustum_index(*arguments), strict=True):
        assert torch.equal(ours.cpu(), theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_pillar_max(dtype: type) -> None:
    rng = np.random.default_rng(1)
    features = torch.from_numpy(values(rng, (5_000, 64), dtype, broken=0.01))
    cells = torch.from_numpy(rng.integers(-1, 1_000, 5_000).astype(np.int32))
    arguments = (features, cells, 2, 20, 30)
    ours = with_gradients(ops.pillar_max, on_gpu(arguments), 1)
    theirs = with_gradients(ops.pillar_max, arguments, 1)
    assert len(ours) == 2
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("channels", [7, 80])
def test_bev_pool(dtype: type, channels: int) -> None:
    case = random_frustum(np.random.default_rng(2), 12, (20, 8, 22), channels, (2, 32, 40), dtype)
    arguments = (*(torch.from_numpy(array) for array in case.inputs[:4]), *case.size)
    ours = with_gradients(ops.bev_pool, on_gpu(arguments), 2)
    theirs = with_gradients(ops.bev_pool, arguments, 2)
    assert len(ours) == 3
    tolerance = 5e-5 if dtype is np.float32 else 5e-3
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_prepare_images(dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (3, 225, 400, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    arguments = (images, 64, 176, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375], dtype)
    assert torch.equal(ops.prepare_images(*on_gpu(arguments)).cpu(), ops.prepare_images(*arguments))
