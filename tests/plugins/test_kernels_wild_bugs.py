"""Every bug that published kernels of this kind have had, by name; those of streams and graphs need a GPU."""

import time

import numpy as np
import pytest
from clouds import random_frustum, same_bits
from test_frustum import ring

from vexkd.plugins.bev_pool import bev_pool, bev_pool_backward
from vexkd.plugins.frustum import camera_rays, frustum_index, image_transform
from vexkd.plugins.library import Grid, KernelError, make_grid
from vexkd.plugins.pillar_max import pillar_max
from vexkd.plugins.reference import bev_pool as oracle
from vexkd.plugins.voxelize import voxelize

RANGE, CELL = (-2.0, -1.0, -1.0, 2.0, 1.0, 1.0), (1.0, 1.0)
"""4 cells along x, 2 along y."""


def cells_of(*rows: tuple[float, ...], capacity: int | None = None, count: int | None = None) -> list[int]:
    """Cells of points given as (x, y) or (x, y, z) or all five."""
    points = np.zeros((capacity or len(rows), 5), np.float32)
    for index, row in enumerate(rows):
        points[index, : len(row)] = row
    counts = np.array([len(rows) if count is None else count], np.int32)
    return voxelize(points, counts, RANGE, CELL)[1].tolist()


def test_01_out_of_range_points_do_not_join_the_first_cell() -> None:
    assert cells_of((-9, 0), (9, 0), (0, -9), (0, 9), (0, 0, -9), (0, 0, 9)) == [-1] * 6
    bev = pillar_max(np.full((3, 1), 7, np.float32), np.array([-1, 8, 99], np.int32), 1, 2, 4)
    assert not bev.any()


def test_02_the_last_interval_keeps_its_last_point() -> None:
    depth, context = np.ones((1, 4, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    bev = bev_pool(depth, context, np.arange(4, dtype=np.int32), np.array([0, 1, 4], np.int32), 1, 1, 2)
    assert bev.ravel().tolist() == [1, 3]


def test_03_each_camera_has_its_own_image_transform() -> None:
    intrinsics, poses = ring(2)
    transforms = np.stack([image_transform((32, 44), (16, 22)), np.diag([2.0, 2.0, 1.0])])
    together = camera_rays(intrinsics, poses, transforms)
    for view in range(2):
        alone = camera_rays(intrinsics[view : view + 1], poses[view : view + 1], transforms[view : view + 1])
        assert same_bits(together[0][view], alone[0][0]) and same_bits(together[1][view], alone[1][0])
    assert not np.allclose(
        together[0][0] @ [5, 5, 1], camera_rays(intrinsics, poses, transforms[[1, 1]])[0][0] @ [5, 5, 1]
    )


def test_04_x_runs_along_the_width_on_rectangular_grids() -> None:
    assert cells_of((1.5, -0.5), (-1.5, 0.5)) == [3, 4]
    bev = pillar_max(np.ones((1, 1), np.float32), np.array([3], np.int32), 1, 2, 4)
    assert np.argwhere(bev[0, 0]).tolist() == [[0, 3]]


def test_05_just_below_the_range_is_outside() -> None:
    assert cells_of((-2.25, 0), (0, -1.25), (-2, -1), (np.nextafter(np.float32(-2), np.float32(-3)), 0)) == [
        -1,
        -1,
        0,
        -1,
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_06_empty_cells_are_written(dtype: type) -> None:
    # Outputs come from memory that was full of something else a moment ago.
    for _ in range(3):
        rubbish = np.full((1, 64, 64, 64), 7, dtype)
        del rubbish
        assert not pillar_max(np.zeros((0, 64), dtype), np.zeros(0, np.int32), 1, 64, 64).any()
        depth, context = np.ones((1, 1, 1, 1), dtype), np.ones((1, 64, 1, 1), dtype)
        starts = np.zeros(64 * 64 + 1, np.int32)
        assert not bev_pool(depth, context, np.zeros(1, np.int32), starts, 1, 64, 64).any()


def test_07_a_count_above_the_capacity_is_the_capacity() -> None:
    assert cells_of((0.5, 0.5), (1.5, 0.5), count=1000) == [6, 7]
    assert cells_of((0.5, 0.5), (1.5, 0.5), count=2**31 - 1) == [6, 7]
    assert cells_of((0.5, 0.5), (1.5, 0.5), count=-(2**31)) == [-1, -1]
    assert cells_of((0.5, 0.5), (1.5, 0.5), capacity=4, count=1) == [6, -1, -1, -1]


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_08_nan_and_infinity_are_dropped(column: int, value: float) -> None:
    row = [0.5, 0.5, 0.0, 0.0, 0.0]
    row[column] = value
    points = np.array([row, [0.5, 0.5, 0, 0, 0]], np.float32)
    features, cells = voxelize(points, np.array([2], np.int32), RANGE, CELL)
    assert cells.tolist() == [-1, 6] and not features[0].any() and np.isfinite(features).all()


def test_09_zero_points() -> None:
    assert cells_of((0.5, 0.5), count=0) == [-1]
    points, starts = frustum_index(*far_camera(), np.ones(1, np.float32), (2, 2), 8, RANGE, CELL)
    assert points.tolist() == [-1] * 4 and not starts.any()


def far_camera() -> tuple[np.ndarray, np.ndarray]:
    """Rays and origin of a camera that sees nothing of the grid."""
    intrinsics, poses = ring(1)
    poses[:, :3, 3] += 1000
    return camera_rays(intrinsics, poses, np.eye(3)[None])


@pytest.mark.parametrize("channels", [1, 2, 5, 7, 15, 17, 31, 33, 63, 65, 79, 81])
def test_10_channels_that_fill_no_vector(channels: int) -> None:
    rng = np.random.default_rng(channels)
    case = random_frustum(rng, 2, (3, 2, 5), channels, (1, 3, 5))
    assert same_bits(bev_pool(*case.inputs), oracle.bev_pool(*case.inputs))
    features = rng.normal(size=(9, channels)).astype(np.float32)
    bev = pillar_max(features, np.full(9, 14, np.int32), 1, 3, 5)
    assert (bev[0, :, 2, 4] == np.maximum(features.max(axis=0), 0 * features[0] - np.inf)).all()


def test_12_a_new_calibration_gives_a_new_index() -> None:
    intrinsics, poses = ring(2)
    grid = ((-16.0, -8.0, -3.0, 16.0, 8.0, 5.0), (0.5, 0.5))
    depths = np.arange(1, 10, 0.5, np.float32)
    transforms = np.broadcast_to(np.eye(3), (2, 3, 3))
    before = frustum_index(*camera_rays(intrinsics, poses, transforms), depths, (4, 5), 8, *grid)
    poses[1, 0, 3] += 0.7
    after = frustum_index(*camera_rays(intrinsics, poses, transforms), depths, (4, 5), 8, *grid)
    assert not np.array_equal(before[1], after[1])


def test_13_calls_on_several_threads_do_not_share_scratch() -> None:
    from concurrent.futures import ThreadPoolExecutor

    cases = [random_frustum(np.random.default_rng(seed), 3, (9, 8, 11), 40, (1, 20, 20)) for seed in range(4)]
    expected = [bev_pool(*case.inputs, threads=1) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for result, wanted in zip(pool.map(lambda case: bev_pool(*case.inputs), cases), expected, strict=True):
                assert same_bits(result, wanted)


def test_15_products_beyond_int32_are_refused_or_counted_in_64_bits() -> None:
    with pytest.raises(KernelError, match="32 bits"):
        make_grid((0, 0, 0, 50_000, 50_000, 1), (1, 1))
    grid = make_grid((0, 0, 0, 46_340, 46_340, 1), (1, 1))
    assert isinstance(grid, Grid) and grid.height * grid.width == 2_147_395_600
    with pytest.raises(KernelError, match="32 bits"):
        voxelize(np.zeros((2, 5), np.float32), np.ones(2, np.int32), (0, 0, 0, 46_340, 46_340, 1), (1, 1))
    # 784 million cells: the table's byte offsets pass 2^31.
    points = np.array([[699.9, 699.9, 0, 0, 0], [-699.99, -699.99, 0, 0, 0]], np.float32)
    _, cells = voxelize(points, np.array([2], np.int32), (-700, -700, -5, 700, 700, 3), (0.05, 0.05))
    index = np.floor((points[:, 0] - np.float32(-700)) / np.float32(0.05)).astype(np.int64)
    assert cells.tolist() == (index * 28_000 + index).tolist()
    assert cells[0] > 780_000_000


def test_gradients_of_points_that_are_not_listed_are_zero() -> None:
    case = random_frustum(np.random.default_rng(0), 2, (4, 3, 5), 6, (1, 2, 2))
    starts = np.zeros_like(case.starts)
    gradients = bev_pool_backward(np.ones((1, 6, 2, 2), np.float32), case.depth, case.context, case.points, starts)
    assert not gradients[0].any() and not gradients[1].any()


def test_row_starts_out_of_bounds_read_nothing_outside() -> None:
    depth, context = np.ones((1, 4, 1, 1), np.float32), np.ones((1, 2, 1, 1), np.float32)
    points = np.array([0, 99, -5, 3], np.int32)
    starts = np.array([-(2**31), 1, 1, 2**31 - 1], np.int32)
    expected = oracle.bev_pool(depth, context, points, starts, 1, 1, 3)
    assert same_bits(bev_pool(depth, context, points, starts, 1, 1, 3), expected)
    assert expected[0, 0].tolist() == [[1, 0, 1]]


def test_row_starts_that_fall_list_nothing_and_cost_no_more_than_those_that_do_not() -> None:
    """Uninitialised row starts: half of the 129,600 cells with all 200,000 points would be 1.3e10 visits."""
    rng = np.random.default_rng(0)
    depth = rng.random((2, 100, 25, 40)).astype(np.float32)
    context = rng.random((2, 16, 25, 40)).astype(np.float32)
    points = np.arange(depth.size, dtype=np.int32)
    starts = np.zeros(360 * 360 + 1, np.int32)
    starts[1::2] = depth.size
    begun = time.perf_counter()
    assert not bev_pool(depth, context, points, starts, 1, 360, 360).any()
    gradients = bev_pool_backward(np.ones((1, 16, 360, 360), np.float32), depth, context, points, starts)
    assert not gradients[0].any() and not gradients[1].any()
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize("starts", [[0, 9, 4, 7], [-5, 3, 3, 99], [2, 2, 2, 2], [8, 0, 8, 0], [7, -1, -1, -1]])
def test_row_starts_are_a_table_or_nothing(starts: list[int]) -> None:
    rng = np.random.default_rng(1)
    depth, context = rng.random((1, 4, 1, 2)).astype(np.float32), rng.random((1, 3, 1, 2)).astype(np.float32)
    inputs = depth, context, np.arange(8, dtype=np.int32), np.array(starts, np.int32)
    bev = bev_pool(*inputs, 1, 1, 3)
    assert same_bits(bev, oracle.bev_pool(*inputs, 1, 1, 3))
    assert bev.any() == (starts[0] == -5)
    gradients = bev_pool_backward(np.ones_like(bev), *inputs)
    assert gradients[0].any() == bev.any() and gradients[1].any() == bev.any()
