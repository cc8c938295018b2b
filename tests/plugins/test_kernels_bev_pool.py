"""BevPool on the CPU against the numpy reference."""

import numpy as np
import pytest
from clouds import THREADS, exact, random_frustum, same_bits
from hypothesis import given
from hypothesis import strategies as st

from vexkd.plugins.bev_pool import bev_pool, bev_pool_backward
from vexkd.plugins.reference import bev_pool as oracle

SHAPES = {
    "views": st.integers(1, 4),
    "feature": st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9)),
    "channels": st.sampled_from([1, 3, 16, 17, 64, 80, 95]),
    "size": st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 9)),
    "dtype": st.sampled_from([np.float32, np.float16]),
    "seed": st.integers(0, 2**32 - 1),
}


@exact
@given(**SHAPES)
def test_forward_agrees_to_the_bit(
    views: int, feature: tuple, channels: int, size: tuple, dtype: type, seed: int
) -> None:
    case = random_frustum(np.random.default_rng(seed), views, feature, channels, size, dtype)
    assert same_bits(bev_pool(*case.inputs), oracle.bev_pool(*case.inputs))


@exact
@given(**SHAPES)
def test_backward_agrees(views: int, feature: tuple, channels: int, size: tuple, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_frustum(rng, views, feature, channels, size, dtype)
    grad_bev = rng.normal(size=(size[0], channels, *size[1:])).astype(dtype)
    ours = bev_pool_backward(grad_bev, *case.inputs[:4])
    theirs = oracle.bev_pool_backward(grad_bev, *case.inputs[:4])
    # The context's gradient is summed in the same order; the dot product over channels is not.
    assert same_bits(ours[1], theirs[1])
    tolerance = 2e-5 if dtype is np.float32 else 2e-2
    np.testing.assert_allclose(ours[0], theirs[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_same_bits_for_any_number_of_threads(dtype: type) -> None:
    rng = np.random.default_rng(0)
    case = random_frustum(rng, 6, (13, 8, 21), 80, (2, 20, 30), dtype)
    grad_bev = rng.normal(size=(2, 80, 20, 30)).astype(dtype)
    first = bev_pool(*case.inputs, threads=1)
    first_gradients = bev_pool_backward(grad_bev, *case.inputs[:4], threads=1)
    for threads in THREADS * 3:
        assert same_bits(bev_pool(*case.inputs, threads=threads), first)
        gradients = bev_pool_backward(grad_bev, *case.inputs[:4], threads=threads)
        assert all(same_bits(one, other) for one, other in zip(gradients, first_gradients, strict=True))


def test_more_channels_than_a_tile_holds() -> None:
    case = random_frustum(np.random.default_rng(1), 1, (3, 2, 3), 1100, (1, 3, 3))
    assert same_bits(bev_pool(*case.inputs), oracle.bev_pool(*case.inputs))


def test_a_longer_list_than_is_decoded_at_a_time() -> None:
    case = random_frustum(np.random.default_rng(2), 2, (40, 5, 8), 16, (1, 1, 2))
    assert np.diff(case.starts).max() > 1000
    assert same_bits(bev_pool(*case.inputs), oracle.bev_pool(*case.inputs))


def test_no_points_and_no_channels() -> None:
    depth, context = np.ones((1, 2, 1, 1), np.float32), np.ones((1, 3, 1, 1), np.float32)
    starts = np.zeros(5, np.int32)
    assert not bev_pool(depth, context, np.zeros(0, np.int32), starts, 1, 2, 2).any()
    assert bev_pool(depth, context[:, :0], np.zeros(0, np.int32), starts, 1, 2, 2).shape == (1, 0, 2, 2)


def test_refuses_wrong_arrays() -> None:
    case = random_frustum(np.random.default_rng(3), 1, (2, 2, 2), 3, (1, 2, 2))
    depth, context, points, starts, *size = case.inputs
    with pytest.raises(ValueError, match="context must have the shape"):
        bev_pool(depth, context[:, :, :1], points, starts, *size)
    with pytest.raises(ValueError, match="context must be float32"):
        bev_pool(depth, context.astype(np.float16), points, starts, *size)
    with pytest.raises(ValueError, match="starts must have the shape"):
        bev_pool(depth, context, points, starts[1:], *size)
