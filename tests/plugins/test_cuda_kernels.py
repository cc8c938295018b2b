"""The CUDA kernels against the numpy reference: on a GPU where one is, and always compiled for the CPU.

The emulation runs blocks and threads in random orders, so what depends on the order of atomics, misses a barrier or
leaves its buffers shows without a GPU. It cannot show what only hardware has: launch limits, speed, nvcc's code.
"""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clouds import GridCase, grids, points_near, random_frustum, same_bits, values
from cuda_backends import (
    SANITIZED,
    Backend,
    Call,
    Device,
    Emulated,
    bev_pool,
    bev_pool_backward,
    frustum_index,
    nms,
    outcome,
    pillar_max,
    pillar_max_backward,
    unpack,
    voxelize,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_frustum import rays_of

from vexkd.plugins.bev_pool import bev_pool as pool_on_the_cpu
from vexkd.plugins.reference import bev_pool as pool_reference
from vexkd.plugins.reference import pillar_max as max_reference
from vexkd.plugins.reference.frustum import frustum_index as frustum_reference
from vexkd.plugins.reference.voxelize import voxelize as voxelize_reference

GRID = GridCase((-4.0, -3.0, -2.0, 4.0, 3.0, 2.0), (0.5, 0.25), 24, 16)
INVALID, MISALIGNED, CUDA_ERROR = 2, 4, 9
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from([np.float32, np.float16])
few = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def close(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    tolerance = 3e-5 if ours.dtype == np.float32 else 4e-3
    scale = np.maximum(1.0, np.abs(theirs.astype(np.float64)))
    return bool((np.abs(ours.astype(np.float64) - theirs) <= tolerance * scale).all())


@few
@given(grids(), st.integers(1, 3), st.integers(0, 700), DTYPES, SEEDS)
def test_voxelize(backend: Backend, grid: GridCase, batch: int, capacity: int, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = points_near(rng, grid, batch * capacity)
    counts = rng.integers(-2, capacity + 3, batch).astype(np.int32)
    features, cells = outcome(voxelize(backend, points, counts, grid, dtype))
    expected, expected_cells = voxelize_reference(points, counts, grid.range, grid.cell)
    with np.errstate(over="ignore"):
        expected = expected.astype(dtype)
    assert same_bits(cells, expected_cells)
    assert same_bits(features, expected)


@few
@given(
    st.integers(0, 900),
    st.sampled_from([1, 3, 8, 16, 60, 64, 65, 72, 130]),
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 14)),
    DTYPES,
    SEEDS,
)
def test_pillar_max(
    backend: Backend, rows: int, channels: int, size: tuple[int, int, int], dtype: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = values(rng, (rows, channels), dtype, broken=0.05)
    cells = rng.integers(-2, np.prod(size) + 2, rows).astype(np.int32)
    cells[rng.random(rows) < 0.3] = rng.integers(np.prod(size))
    ours = outcome(pillar_max(backend, features, cells, size))
    theirs = max_reference.pillar_max_with_argmax(features, cells, *size)
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])
    (alone,) = outcome(pillar_max(backend, features, cells, size, argmax=False))
    assert same_bits(alone, ours[0])
    grad_bev = values(rng, ours[0].shape, dtype)
    (gradient,) = outcome(pillar_max_backward(backend, grad_bev, ours[1], rows))
    assert same_bits(gradient, max_reference.pillar_max_backward(grad_bev, ours[1], rows))


@few
@given(
    st.integers(0, 600),
    st.sampled_from([1, 3, 8, 16, 60, 64, 65, 72, 130]),
    st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 14)),
    SEEDS,
)
def test_a_packed_map_of_pillars_has_the_bits_of_a_planar_one(
    backend: Backend, rows: int, channels: int, size: tuple[int, int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = values(rng, (rows, channels), np.float16, broken=0.05)
    cells = rng.integers(-2, np.prod(size) + 2, rows).astype(np.int32)
    planar, argmax = outcome(pillar_max(backend, features, cells, size))
    packed, same_argmax = outcome(pillar_max(backend, features, cells, size, packed=True))
    assert same_bits(unpack(packed, channels), planar)
    assert same_bits(same_argmax, argmax)
    (alone,) = outcome(pillar_max(backend, features, cells, size, argmax=False, packed=True))
    assert same_bits(alone, packed)


POOLS = {
    "views": st.integers(1, 4),
    "feature": st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 9)),
    "channels": st.sampled_from([1, 3, 16, 17, 64, 80, 95, 128, 136, 300]),
    "size": st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 14)),
    "dtype": DTYPES,
    "seed": SEEDS,
}


@few
@given(**POOLS)
def test_bev_pool(
    backend: Backend, views: int, feature: tuple, channels: int, size: tuple, dtype: Any, seed: int
) -> None:
    case = random_frustum(np.random.default_rng(seed), views, feature, channels, size, dtype)
    (ours,) = outcome(bev_pool(backend, *case.inputs))
    assert close(ours, pool_reference.bev_pool(*case.inputs))


@few
@given(**POOLS)
def test_packed_context_and_map_have_the_bits_of_planar_ones(
    backend: Backend, views: int, feature: tuple, channels: int, size: tuple, dtype: Any, seed: int
) -> None:
    case = random_frustum(np.random.default_rng(seed), views, feature, channels, size, np.float16)
    (planar,) = outcome(bev_pool(backend, *case.inputs))
    for packed in ((True, False), (False, True), (True, True)):
        (ours,) = outcome(bev_pool(backend, *case.inputs, packed=packed))
        assert same_bits(unpack(ours, channels) if packed[1] else ours, planar), packed


def test_packed_layouts_that_are_none_are_refused(backend: Backend) -> None:
    wide = random_frustum(np.random.default_rng(0), 1, (2, 2, 2), 8, (1, 2, 2), np.float32)
    cells = np.zeros(3, np.int32)
    assert bev_pool(backend, *wide.inputs, packed=(True, False)).status() == INVALID
    assert bev_pool(backend, *wide.inputs, packed=(False, True)).status() == INVALID
    assert pillar_max(backend, np.ones((3, 8), np.float32), cells, (1, 2, 2), packed=True).status() == INVALID
    half = random_frustum(np.random.default_rng(0), 1, (2, 2, 2), 8, (1, 2, 2), np.float16)
    backend.skew = 1
    try:
        assert bev_pool(backend, *half.inputs, packed=(True, False)).status() == MISALIGNED
        assert bev_pool(backend, *half.inputs, packed=(False, True)).status() == MISALIGNED
        assert pillar_max(backend, np.ones((3, 8), np.float16), cells, (1, 2, 2), packed=True).status() == MISALIGNED
    finally:
        backend.skew = 0


@few
@given(**POOLS)
def test_bev_pool_backward(
    backend: Backend, views: int, feature: tuple, channels: int, size: tuple, dtype: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    case = random_frustum(rng, views, feature, channels, size, dtype)
    grad_bev = rng.normal(size=(size[0], channels, *size[1:])).astype(dtype)
    ours = outcome(bev_pool_backward(backend, grad_bev, *case.inputs[:4]))
    theirs = pool_reference.bev_pool_backward(grad_bev, *case.inputs[:4])
    assert close(ours[0], theirs[0])
    assert close(ours[1], theirs[1])
    for which in (0, 1):
        wanted = (which == 0, which == 1)
        (alone,) = outcome(bev_pool_backward(backend, grad_bev, *case.inputs[:4], wanted=wanted))
        assert same_bits(alone, ours[which])


@few
@given(
    grids(),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 9)),
    st.integers(1, 16),
    SEEDS,
)
def test_frustum_index(
    backend: Backend, grid: GridCase, batch: int, cameras: int, frustum: tuple[int, int, int], stride: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rays, origins = rays_of(batch * cameras, rng)
    origins += np.array(grid.range[:3], np.float32) * np.float32(0.5)
    depths = np.sort(rng.random(frustum[0])).astype(np.float32) * np.float32(8)
    depths[rng.random(frustum[0]) < 0.1] = np.nan
    ours = outcome(frustum_index(backend, rays, origins, depths, frustum[1:], stride, grid, batch))
    theirs = frustum_reference(rays, origins, depths, frustum[1:], stride, grid.range, grid.cell, batch)
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])


@pytest.mark.parametrize("side", [20, 200, 300, 550])
@pytest.mark.parametrize("crowded", [False, True])
def test_frustum_index_with_many_chunks_of_points_and_buckets_of_cells(
    backend: Backend, side: int, crowded: bool
) -> None:
    """Buckets of 32, 64, 128 and 256 cells; the last are more than 1024, which makes chunks longer."""
    rays, origins = rays_of(6)
    if crowded:
        rays, origins = np.zeros_like(rays), origins + np.float32(0.25)
    depths = np.arange(0.5, 9.0, 0.5, dtype=np.float32)
    grid = GridCase((-8.0, -8.0, -5.0, 8.0, 8.0, 3.0), (16 / side, 16 / side), side, side)
    ours = outcome(frustum_index(backend, rays, origins, depths, (5, 22), 4, grid))
    theirs = frustum_reference(rays, origins, depths, (5, 22), 4, grid.range, grid.cell)
    assert np.diff(theirs[1]).max() > 1500 or not crowded
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])


def crowded_calls(backend: Backend, dtype: Any = np.float16) -> dict[str, Call]:
    """Each kernel with thousands of points in one cell, most cells empty."""
    rng = np.random.default_rng(5)
    points = points_near(rng, GRID, 4_000)
    points[rng.random(4_000) < 0.5, :3] = [0.1, 0.1, 0.1]
    features, cells = values(rng, (4_000, 72), dtype), rng.integers(0, 100, 4_000).astype(np.int32)
    cells[::2] = 17
    case = random_frustum(rng, 2, (30, 5, 9), 80, (1, 20, 30), dtype)
    grad_bev = values(rng, (1, 80, 20, 30), dtype)
    rays, origins = rays_of(6, rng)
    depths = np.linspace(0.1, 5, 20, dtype=np.float32)
    return {
        "voxelize": voxelize(backend, points, np.array([4_000], np.int32), GRID, dtype),
        "pillar_max": pillar_max(backend, features, cells, (1, 20, 30)),
        "bev_pool": bev_pool(backend, *case.inputs),
        "bev_pool_backward": bev_pool_backward(backend, grad_bev, *case.inputs[:4]),
        "frustum_index": frustum_index(backend, rays, origins, depths, (4, 6), 4, GRID),
    }


CROWDED = ["voxelize", "pillar_max", "bev_pool", "bev_pool_backward", "frustum_index"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", CROWDED)
def test_same_bits_in_any_order_of_threads(backend: Any, name: str, dtype: Any) -> None:
    call = crowded_calls(backend, dtype)[name]
    first = outcome(call)
    for seed in range(1, 101 if isinstance(backend, Device) else 3 if SANITIZED else 6):
        backend.seed(seed)
        again = outcome(call)
        assert all(same_bits(one, other) for one, other in zip(again, first, strict=True)), f"run {seed}"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", CROWDED)
def test_arrays_need_no_more_alignment_than_an_element(backend: Any, name: str, dtype: Any) -> None:
    expected = outcome(crowded_calls(backend, dtype)[name])
    backend.skew = 1
    try:
        ours = outcome(crowded_calls(backend, dtype)[name])
    finally:
        backend.skew = 0
    assert all(same_bits(one, other) for one, other in zip(ours, expected, strict=True))


@pytest.mark.parametrize("name", [*CROWDED, "nms"])
def test_a_launch_that_fails_ends_the_call(emulated_library: Path, name: str) -> None:
    backend = Emulated(emulated_library)
    boxes = np.zeros((9, 9), np.float32)
    calls = crowded_calls(backend)
    calls["nms"] = nms(
        backend, boxes, np.ones(9, np.float32), np.zeros(9, np.int32), "circle", np.ones(1, np.float32), 0.0
    )
    call, library = calls[name], backend.library
    library.vexkd_emulation_fail(-1)
    call.run()
    launches = library.vexkd_emulation_fail(-1)
    assert launches > 1
    for failing in range(launches):
        library.vexkd_emulation_fail(failing)
        status = call.status()
        assert (status, library.vexkd_emulation_fail(-1)) == (CUDA_ERROR, failing + 1)
        error = ctypes.c_char_p()
        assert library.vexkd_last_cuda_error(ctypes.byref(error)) == 9
        assert error.value == b"cudaErrorInvalidConfiguration"
    call.run()  # and the next one starts afresh


def test_a_crowded_cell_is_summed_to_float64s_value(backend: Backend) -> None:
    case = random_frustum(np.random.default_rng(2), 2, (60, 5, 8), 16, (1, 1, 2))
    assert np.diff(case.starts).max() > 1000
    (ours,) = outcome(bev_pool(backend, *case.inputs))
    exact = pool_reference.bev_pool(case.depth.astype(np.float64), case.context.astype(np.float64), *case.inputs[2:])
    assert close(ours, exact)


def test_the_sizes_of_a_real_camera_branch(backend: Backend) -> None:
    """16 x 44 pixels and 6 views, so that divisors are no small numbers and a cell's points come from many pixels."""
    rng = np.random.default_rng(8)
    rays, origins = rays_of(6, rng)
    depths = np.arange(1.0, 9.0, dtype=np.float32)
    grid = GridCase((-8.0, -6.4, -5.0, 8.0, 6.4, 3.0), (0.4, 0.4), 32, 40)
    points, starts = outcome(frustum_index(backend, rays, origins, depths, (16, 44), 16, grid))
    theirs = frustum_reference(rays, origins, depths, (16, 44), 16, grid.range, grid.cell)
    assert same_bits(points, theirs[0])
    assert same_bits(starts, theirs[1])
    depth = rng.random((6, 8, 16, 44)).astype(np.float32)
    context = rng.normal(size=(6, 80, 16, 44)).astype(np.float32)
    (bev,) = outcome(bev_pool(backend, depth, context, points, starts, 1, 32, 40))
    assert close(bev, pool_on_the_cpu(depth, context, points, starts, 1, 32, 40))


@pytest.mark.parametrize("starts", [[0, 9, 4, 7], [-5, 3, 3, 99], [2, 2, 2, 2], [8, 0, 8, 0]])
def test_tables_that_are_none_are_made_harmless_as_on_the_cpu(backend: Backend, starts: list[int]) -> None:
    rng = np.random.default_rng(3)
    depth, context = rng.random((1, 4, 1, 2)).astype(np.float32), rng.random((1, 5, 1, 2)).astype(np.float32)
    points = np.array([0, 7, -1, 3, 8, 99, -(2**31), 2**31 - 1], np.int32)
    inputs = (depth, context, points, np.array(starts, np.int32))
    (ours,) = outcome(bev_pool(backend, *inputs, 1, 1, 3))
    theirs = pool_reference.bev_pool(*inputs, 1, 1, 3)
    assert close(ours, theirs)
    gradients = outcome(bev_pool_backward(backend, np.ones_like(theirs), *inputs))
    for gradient, expected in zip(
        gradients, pool_reference.bev_pool_backward(np.ones_like(theirs), *inputs), strict=True
    ):
        assert close(gradient, expected)


@pytest.mark.parametrize("fall", [0, 1, 2_000, 4_998])
def test_one_fall_among_many_row_starts_empties_the_map(backend: Backend, fall: int) -> None:
    depth, context = np.ones((1, 50, 10, 10), np.float32), np.ones((1, 3, 10, 10), np.float32)
    points, starts = np.arange(5_000, dtype=np.int32), np.arange(5_001, dtype=np.int32)
    (ours,) = outcome(bev_pool(backend, depth, context, points, starts, 1, 50, 100))
    assert (ours == 1).all()
    starts[fall] = starts[fall + 1] + 1
    (ours,) = outcome(bev_pool(backend, depth, context, points, starts, 1, 50, 100))
    assert not ours.any()
    grad_bev = np.ones((1, 3, 50, 100), np.float32)
    for gradient in outcome(bev_pool_backward(backend, grad_bev, depth, context, points, starts)):
        assert not gradient.any()


def test_a_point_listed_twice_gives_the_same_gradients_in_any_order_of_threads(backend: Any) -> None:
    rng = np.random.default_rng(4)
    depth, context = rng.random((1, 4, 1, 2)).astype(np.float32), rng.random((1, 5, 1, 2)).astype(np.float32)
    points = np.tile(np.arange(8, dtype=np.int32), 40)
    call = bev_pool_backward(
        backend, rng.random((1, 5, 1, 40)).astype(np.float32), depth, context, points, np.arange(41, dtype=np.int32) * 8
    )
    first = outcome(call)
    for seed in range(10):
        backend.seed(seed)
        assert all(same_bits(one, other) for one, other in zip(outcome(call), first, strict=True))


def test_more_cells_than_one_round_of_the_prefix_sum(backend: Backend) -> None:
    rng = np.random.default_rng(6)
    size = (1, 740, 750)  # 271 tiles of 2048 cells, one block takes 256 of their sums at a time
    features = values(rng, (3_000, 1), np.float32)
    cells = rng.integers(0, 740 * 750, 3_000).astype(np.int32)
    ours = outcome(pillar_max(backend, features, cells, size))
    theirs = max_reference.pillar_max_with_argmax(features, cells, *size)
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])


def test_nothing_to_do_is_done(backend: Backend) -> None:
    size = (2, 3, 4)
    features, cells = outcome(voxelize(backend, np.zeros((0, 5), np.float32), np.zeros(2, np.int32), GRID))
    assert features.shape == (0, 11) and cells.shape == (0,)
    bev, argmax = outcome(pillar_max(backend, np.zeros((0, 9), np.float32), np.zeros(0, np.int32), size))
    assert not bev.any() and (argmax == -1).all()
    assert outcome(pillar_max(backend, np.zeros((5, 0), np.float32), np.zeros(5, np.int32), size))[0].size == 0
    depth, context = np.ones((1, 2, 1, 1), np.float32), np.ones((1, 3, 1, 1), np.float32)
    none, starts = np.zeros(0, np.int32), np.zeros(25, np.int32)
    assert not outcome(bev_pool(backend, depth, context, none, starts, *size))[0].any()
    for channels in (0, 3):
        grad_bev = np.ones((2, channels, 3, 4), np.float32)
        for gradient in outcome(bev_pool_backward(backend, grad_bev, depth, context[:, :channels], none, starts)):
            assert not gradient.any()


@pytest.mark.gpu
@pytest.mark.parametrize("name", CROWDED)
def test_13_two_streams_at_once(device: Device, name: str) -> None:
    import torch

    expected = outcome(crowded_calls(device)[name])
    calls, streams = [crowded_calls(device)[name] for _ in range(2)], [torch.cuda.Stream() for _ in range(2)]
    torch.cuda.synchronize()
    for _ in range(20):
        for call, stream in zip(calls, streams, strict=True):
            with torch.cuda.stream(stream):
                call.run()
    torch.cuda.synchronize()
    for call in calls:
        assert all(same_bits(one, other) for one, other in zip(call.results(), expected, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("name", CROWDED)
def test_11_captured_in_a_graph(device: Device, name: str) -> None:
    import torch

    call = crowded_calls(device)[name]
    expected = outcome(call)  # the first launch loads the kernels
    fresh = crowded_calls(device)[name]
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fresh.run()
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    assert all(same_bits(one, other) for one, other in zip(fresh.results(), expected, strict=True))


@pytest.mark.gpu
def test_15_more_than_2_to_the_31_outputs(device: Device) -> None:
    import torch

    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("needs 12 GB of free device memory")
    channels, side = 40, 8192  # 2.7e9 halves
    features = np.ones((3, channels), np.float16) * np.array([[1], [2], [3]], np.float16)
    cells = np.array([0, side * side - 1, side * side // 2], np.int32)
    (bev,) = outcome(pillar_max(device, features, cells, (1, side, side), argmax=False))
    assert np.array_equal(bev.reshape(channels, -1)[:, cells], features.T)
    assert np.count_nonzero(bev) == features.size
