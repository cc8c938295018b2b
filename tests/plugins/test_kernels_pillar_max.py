"""PillarMax on the CPU against the numpy reference, to the bit."""

import numpy as np
import pytest
from clouds import THREADS, exact, same_bits, values
from hypothesis import given
from hypothesis import strategies as st

from vexkd.plugins.pillar_max import pillar_max, pillar_max_backward, pillar_max_with_argmax
from vexkd.plugins.reference import pillar_max as oracle

DTYPES = st.sampled_from([np.float32, np.float16])


@exact
@given(
    st.integers(0, 200),
    st.integers(1, 70),
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40)),
    DTYPES,
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_the_reference(
    points: int, channels: int, size: tuple[int, int, int], dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = values(rng, (points, channels), dtype, broken=0.2)
    cells = rng.integers(-2, np.prod(size) + 2, points).astype(np.int32)
    bev, argmax = pillar_max_with_argmax(features, cells, *size)
    expected, expected_argmax = oracle.pillar_max_with_argmax(features, cells, *size)
    assert same_bits(bev, expected) and same_bits(argmax, expected_argmax)
    assert same_bits(pillar_max(features, cells, *size), expected)

    grad_bev = values(rng, bev.shape, dtype)
    assert same_bits(
        pillar_max_backward(grad_bev, argmax, points), oracle.pillar_max_backward(grad_bev, argmax, points)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_same_bits_for_any_number_of_threads(dtype: type) -> None:
    rng = np.random.default_rng(0)
    features = values(rng, (4000, 64), dtype, broken=0.01)
    cells = rng.integers(-1, 2 * 50 * 30, 4000).astype(np.int32)
    first = pillar_max_with_argmax(features, cells, 2, 50, 30, threads=1)
    grad = pillar_max_backward(first[0], first[1], 4000, threads=1)
    for threads in THREADS * 3:
        again = pillar_max_with_argmax(features, cells, 2, 50, 30, threads=threads)
        assert same_bits(first[0], again[0]) and same_bits(first[1], again[1])
        assert same_bits(pillar_max(features, cells, 2, 50, 30, threads=threads), first[0])
        assert same_bits(pillar_max_backward(first[0], first[1], 4000, threads=threads), grad)


def test_same_maxima_for_any_order_of_the_points() -> None:
    rng = np.random.default_rng(1)
    features = values(rng, (2000, 33), np.float32)
    cells = rng.integers(-1, 300, 2000).astype(np.int32)
    first = pillar_max(features, cells, 1, 15, 20)
    for _ in range(5):
        order = rng.permutation(2000)
        assert same_bits(pillar_max(features[order], cells[order], 1, 15, 20), first)


def test_gradient_of_a_tie_goes_to_the_first_row() -> None:
    features = np.array([[1.0], [3.0], [3.0]], np.float32)
    _, argmax = pillar_max_with_argmax(features, np.zeros(3, np.int32), 1, 1, 1)
    grad = pillar_max_backward(np.full((1, 1, 1, 1), 5, np.float32), argmax, 3)
    assert grad[:, 0].tolist() == [0, 5, 0]


def test_negative_maxima_are_kept_and_nan_is_ignored() -> None:
    features = np.array([[-2.0, np.nan, -np.inf], [-1.0, -7.0, np.nan]], np.float32)
    bev, argmax = pillar_max_with_argmax(features, np.zeros(2, np.int32), 1, 1, 2)
    assert bev[0, :, 0, 0].tolist() == [-1, -7, 0]
    assert argmax[0, :, 0, 0].tolist() == [1, 1, -1]
    assert bev[0, :, 0, 1].tolist() == [0, 0, 0]


def test_no_channels_and_no_points() -> None:
    assert pillar_max(np.zeros((3, 0), np.float32), np.zeros(3, np.int32), 1, 2, 2).shape == (1, 0, 2, 2)
    assert not pillar_max(np.zeros((0, 2), np.float32), np.zeros(0, np.int32), 1, 2, 2).any()
    assert pillar_max_backward(np.ones((1, 2, 2, 2), np.float32), np.zeros((1, 2, 2, 2), np.int32), 0).shape == (0, 2)


def test_refuses_wrong_arrays() -> None:
    with pytest.raises(ValueError, match="float32 or float16"):
        pillar_max(np.zeros((3, 2)), np.zeros(3, np.int32), 1, 2, 2)
    with pytest.raises(ValueError, match="cells must have the shape"):
        pillar_max(np.zeros((3, 2), np.float32), np.zeros(4, np.int32), 1, 2, 2)
