"""Camera geometry and the frustum index."""

import ctypes

import numpy as np
import pytest
from clouds import THREADS, GridCase, exact, grids, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vexkd.plugins.frustum import camera_rays, frustum_index, image_transform
from vexkd.plugins.library import FrustumShape, KernelError, make_grid, workspace_size
from vexkd.plugins.reference.frustum import frustum_index as reference
from vexkd.plugins.reference.frustum import frustum_positions

CAMERA_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera (x right, y down, z forward) to ego (x forward, y left, z up)."""


def ring(views: int, rng: np.random.Generator | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intrinsics (V, 3, 3) and camera-to-ego (V, 4, 4) of cameras that look outwards, at 1.5 m."""
    intrinsics, poses = [], []
    for view in range(views):
        yaw = 2 * np.pi * view / views
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        pose = np.eye(4)
        pose[:3, :3] = turn @ CAMERA_AXES
        pose[:3, 3] = turn @ [1.0, 0.0, 0.0] + [0.0, 0.0, 1.5]
        if rng is not None:
            pose[:3, 3] += rng.normal(0, 0.2, 3)
        poses.append(pose)
        intrinsics.append([[30.0 + view, 0, 21.3], [0, 31.0, 15.7], [0, 0, 1]])
    return np.array(intrinsics), np.array(poses)


def rays_of(views: int, rng: np.random.Generator | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    intrinsics, poses = ring(views, rng)
    transforms = np.broadcast_to(image_transform((32, 44), (16, 22)), (views, 3, 3))
    return camera_rays(intrinsics, poses, transforms)


@exact
@given(
    grids(),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 9)),
    st.integers(1, 16),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_the_reference(
    grid: GridCase, batch: int, cameras: int, frustum: tuple[int, int, int], stride: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rays, origins = rays_of(batch * cameras, rng)
    origins += np.array(grid.range[:3], np.float32) * np.float32(0.5)
    depths = np.sort(rng.random(frustum[0])).astype(np.float32) * np.float32(8)
    depths[rng.random(frustum[0]) < 0.1] = np.nan
    arguments = (rays, origins, depths, frustum[1:], stride, grid.range, grid.cell, batch)
    ours, theirs = frustum_index(*arguments), reference(*arguments)
    assert same_bits(ours[0], theirs[0]) and same_bits(ours[1], theirs[1])


def test_same_bits_for_any_number_of_threads() -> None:
    rays, origins = rays_of(6)
    arguments = (rays, origins, np.arange(1, 20, 0.25, np.float32), (9, 22), 2, (-16, -8, -3, 16, 8, 5), (0.5, 0.25))
    first = frustum_index(*arguments, threads=1)
    assert same_bits(first[0], reference(*arguments)[0])
    for threads in THREADS * 3:
        again = frustum_index(*arguments, threads=threads)
        assert same_bits(first[0], again[0]) and same_bits(first[1], again[1])


def test_each_listed_point_lies_in_its_cell_and_each_left_out_lies_outside() -> None:
    limits, cell = (-10.0, -6.0, -1.0, 10.0, 6.0, 4.0), (0.5, 0.75)
    rays, origins = rays_of(4)
    depths = np.arange(0.5, 14, 0.5, np.float32)
    points, starts = frustum_index(rays, origins, depths, (8, 11), 2, limits, cell)
    xyz = frustum_positions(rays, origins, depths, (8, 11), 2).reshape(-1, 3).astype(np.float64)
    for index in range(len(starts) - 1):
        listed = points[starts[index] : starts[index + 1]]
        assert (np.diff(listed) > 0).all()
        low = np.array([limits[0] + index % 40 * cell[0], limits[1] + index // 40 * cell[1]])
        assert (xyz[listed, :2] > low - 1e-4).all() and (xyz[listed, :2] < low + cell + 1e-4).all()
    assert (points[starts[-1] :] == -1).all()
    left_out = np.setdiff1d(np.arange(len(points)), points)
    inside = (xyz[left_out] > np.array(limits[:3]) + 1e-4) & (xyz[left_out] < np.array(limits[3:]) - 1e-4)
    assert not inside.all(axis=1).any()


def test_rays_lead_back_to_the_raw_pixel() -> None:
    intrinsics, poses = ring(3, np.random.default_rng(0))
    transform = image_transform((32, 44), (16, 22))
    rays, origins = camera_rays(intrinsics, poses, np.broadcast_to(transform, (3, 3, 3)))
    raw = np.array([17.25, 5.5, 1.0])
    prepared = transform @ raw
    for view in range(3):
        ego = rays[view].astype(np.float64) @ prepared * 7.5 + origins[view]
        camera = np.linalg.inv(poses[view]) @ [*ego, 1]
        assert camera[2] == pytest.approx(7.5, abs=1e-4)
        assert intrinsics[view] @ camera[:3] / camera[2] == pytest.approx(raw, abs=1e-3)


@pytest.mark.parametrize(
    ("raw", "prepared"), [((900, 1600), (256, 704)), ((450, 800), (128, 352)), ((30, 40), (20, 17)), ((7, 9), (14, 18))]
)
def test_image_transform_keeps_the_bottom_and_the_middle(raw: tuple[int, int], prepared: tuple[int, int]) -> None:
    matrix = image_transform(raw, prepared)
    edges = matrix @ np.array([[-0.5, raw[1] - 0.5], [-0.5, raw[0] - 0.5], [1, 1]])
    # The raw image's bottom edge is the prepared one's, and its sides overhang equally, to a pixel.
    assert edges[1, 1] == pytest.approx(prepared[0] - 0.5)
    assert abs((-0.5 - edges[0, 0]) - (edges[0, 1] - (prepared[1] - 0.5))) <= 1 + 1e-9
    assert edges[0, 0] <= -0.5 + 1e-9 and edges[0, 1] >= prepared[1] - 0.5 - 1e-9 and edges[1, 0] <= -0.5 + 1e-9


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("side", [20, 300, 600])
def test_a_workspace_is_enough_for_smaller_calls(device: str, side: int) -> None:
    grid = make_grid((-8, -8, -5, 8, 8, 3), (16 / side, 16 / side))

    def needed(batch: int, depths: int) -> int:
        shape = FrustumShape(batch, batch * 6, depths, 16, 44, 16)
        return workspace_size(f"frustum_index_{device}", ctypes.byref(shape), ctypes.byref(grid))

    sizes = np.array([[needed(batch, depths) for batch in (1, 2, 3, 4, 8, 9)] for depths in (1, 2, 7, 118)])
    assert (np.diff(sizes, axis=0) >= 0).all() and (np.diff(sizes, axis=1) >= 0).all()


def test_cuda_takes_so_many_depths_and_no_more() -> None:
    grid = make_grid((-8, -8, -5, 8, 8, 3), (1, 1))

    def size(depths: int) -> int:
        shape = FrustumShape(1, 6, depths, 16, 44, 16)
        return workspace_size("frustum_index_cuda", ctypes.byref(shape), ctypes.byref(grid))

    assert size(896) > 0
    with pytest.raises(KernelError, match="would not fit"):
        size(897)


def test_refuses_wrong_arguments() -> None:
    rays, origins = rays_of(3)
    depths = np.ones(2, np.float32)
    with pytest.raises(KernelError, match="invalid"):
        frustum_index(rays, origins, depths, (2, 2), 2, (0, 0, 0, 1, 1, 1), (0.5, 0.5), batch=2)
    with pytest.raises(ValueError, match="origins must have the shape"):
        frustum_index(rays, origins[:2], depths, (2, 2), 2, (0, 0, 0, 1, 1, 1), (0.5, 0.5))
    with pytest.raises(ValueError, match="singular"):
        camera_rays(np.zeros((1, 3, 3)), np.eye(4)[None], np.eye(3)[None])
