"""Voxelize on the CPU against the numpy reference, to the bit."""

import numpy as np
import pytest
from clouds import THREADS, GridCase, exact, grids, points_near, same_bits
from hypothesis import given
from hypothesis import strategies as st

from vexkd.plugins.library import KernelError
from vexkd.plugins.reference.voxelize import voxelize as reference
from vexkd.plugins.voxelize import voxelize

GRID = GridCase((-4.0, -3.0, -2.0, 4.0, 3.0, 2.0), (0.5, 0.25), 24, 16)


@exact
@given(grids(), st.integers(1, 3), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_agrees_with_the_reference(grid: GridCase, batch: int, capacity: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = points_near(rng, grid, batch * capacity)
    counts = rng.integers(-2, capacity + 3, batch).astype(np.int32)
    ours = voxelize(points, counts, grid.range, grid.cell)
    theirs = reference(points, counts, grid.range, grid.cell)
    assert same_bits(ours[1], theirs[1])
    assert same_bits(ours[0], theirs[0])


def test_many_points_in_several_chunks_agree() -> None:
    points = points_near(np.random.default_rng(0), GRID, 20_001)
    ours = voxelize(points, np.array([19_999], np.int32), GRID.range, GRID.cell)
    theirs = reference(points, np.array([19_999], np.int32), GRID.range, GRID.cell)
    assert same_bits(ours[0], theirs[0]) and same_bits(ours[1], theirs[1])


def test_same_bits_for_any_number_of_threads() -> None:
    points = points_near(np.random.default_rng(1), GRID, 9_000)
    counts = np.array([3000, 2500, 0], np.int32)
    first = voxelize(points, counts, GRID.range, GRID.cell, threads=1)
    for threads in THREADS * 5:
        again = voxelize(points, counts, GRID.range, GRID.cell, threads=threads)
        assert same_bits(first[0], again[0]) and same_bits(first[1], again[1])


def test_same_bits_for_any_order_of_the_points() -> None:
    rng = np.random.default_rng(2)
    points = points_near(rng, GRID, 5_000)
    counts = np.array([5_000], np.int32)
    features, cells = voxelize(points, counts, GRID.range, GRID.cell)
    for _ in range(5):
        order = rng.permutation(len(points))
        moved, moved_cells = voxelize(points[order], counts, GRID.range, GRID.cell)
        assert same_bits(moved, features[order]) and same_bits(moved_cells, cells[order])


def test_mean_is_that_of_float64_to_the_fixed_point_s_resolution() -> None:
    rng = np.random.default_rng(3)
    points = points_near(rng, GRID, 4_000)
    features, cells = voxelize(points, np.array([4_000], np.int32), GRID.range, GRID.cell)
    for cell in np.unique(cells[cells >= 0])[:50]:
        members = cells == cell
        mean = points[members, :3].astype(np.float64).mean(axis=0)
        assert np.abs(features[members, 5:8] - (points[members, :3] - mean)).max() < 1e-6


def test_an_empty_cloud_is_an_empty_result() -> None:
    features, cells = voxelize(np.zeros((0, 5), np.float32), np.zeros(2, np.int32), GRID.range, GRID.cell)
    assert features.shape == (0, 11) and cells.shape == (0,)


@pytest.mark.parametrize(
    ("limits", "cell"),
    [
        ((0, 0, 0, 0, 1, 1), (0.5, 0.5)),
        ((0, 0, 0, 1, 1, 1), (0.0, 0.5)),
        ((0, 0, 0, 1, 1, 1), (-0.5, 0.5)),
        ((0, 0, 0, 1, 1, 1), (np.nan, 0.5)),
        ((0, 0, 0, np.inf, 1, 1), (0.5, 0.5)),
        ((0, 0, 1, 1, 1, 0), (0.5, 0.5)),
        ((0, 0, 0, 1e6, 1e6, 1), (1e-3, 1e-3)),
    ],
)
def test_refuses_what_is_no_grid(limits: tuple[float, ...], cell: tuple[float, float]) -> None:
    with pytest.raises(KernelError, match="make_grid"):
        voxelize(np.zeros((1, 5), np.float32), np.ones(1, np.int32), limits, cell)


def test_refuses_wrong_arrays() -> None:
    points, counts = np.zeros((4, 5), np.float32), np.ones(1, np.int32)
    with pytest.raises(ValueError, match="points must be float32"):
        voxelize(points.astype(np.float64), counts, GRID.range, GRID.cell)
    with pytest.raises(ValueError, match="points must have the shape"):
        voxelize(points[:, :4], counts, GRID.range, GRID.cell)
    with pytest.raises(ValueError, match="same number of rows"):
        voxelize(points, np.ones(3, np.int32), GRID.range, GRID.cell)


@pytest.mark.parametrize("width", [2**24 - 1, 2**24 + 1, 2**24 + 2, 2**24 + 3, 2**24 + 5])
def test_rows_of_more_cells_than_float32_can_count(width: int) -> None:
    """No index reaches the width, also where float32 rounds the width up."""
    limits = (-8.0, 0.0, -1.0, float(width - 8), 1.0, 1.0)
    assert np.float32(limits[3]) == limits[3]
    x = np.nextafter(np.float32(limits[3]), np.float32(0)) - np.arange(-3, 40, dtype=np.float32)
    points = np.zeros((len(x), 5), np.float32)
    points[:, 0], points[:, 1] = x, 0.5
    features, cells = voxelize(points, np.array([len(x)], np.int32), limits, (1.0, 1.0))
    theirs, their_cells = reference(points, np.array([len(x)], np.int32), limits, (1.0, 1.0))
    assert same_bits(cells, their_cells) and same_bits(features, theirs)
    assert width - 16 < cells.max() < width
