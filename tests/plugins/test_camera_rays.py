"""Camera geometry in C against numpy: the same order of additions to the bit, numpy's own inverse to rounding."""

import numpy as np
import pytest
from clouds import exact, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vexkd.plugins.frustum import MAX_SIDE, camera_rays, image_transform
from vexkd.plugins.reference import camera_rays as oracle

SIDES = st.integers(1, 3000)
Matrices = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def rotations(rng: np.random.Generator, views: int) -> NDArray[np.float64]:
    """Orthonormal (V, 3, 3), reflections among them."""
    return np.linalg.qr(rng.normal(size=(views, 3, 3)))[0]


def calibration(rng: np.random.Generator, views: int) -> Matrices:
    """Intrinsics with skew, poses of any direction, and image transforms that turn, zoom and shift."""
    intrinsics = np.zeros((views, 3, 3))
    intrinsics[:, [0, 1], [0, 1]] = rng.uniform(200, 2000, (views, 2))
    intrinsics[:, [0, 1], 2] = rng.uniform(100, 900, (views, 2))
    intrinsics[:, 0, 1] = rng.normal(size=views)
    intrinsics[:, 2, 2] = 1
    poses = np.tile(np.eye(4), (views, 1, 1))
    poses[:, :3, :3] = rotations(rng, views)
    poses[:, :3, 3] = rng.normal(0, 3, (views, 3))
    angle, zoom = rng.uniform(-0.2, 0.2, views), rng.uniform(0.2, 1.5, views)
    transforms = np.tile(np.eye(3), (views, 1, 1))
    transforms[:, 0, 0] = transforms[:, 1, 1] = zoom * np.cos(angle)
    transforms[:, 1, 0] = zoom * np.sin(angle)
    transforms[:, 0, 1] = -transforms[:, 1, 0]
    transforms[:, :2, 2] = rng.uniform(-300, 300, (views, 2))
    return intrinsics, poses, transforms


@exact
@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_the_same_bits_as_the_reference(views: int, seed: int) -> None:
    matrices = calibration(np.random.default_rng(seed), views)
    ours, theirs = camera_rays(*matrices), oracle.camera_rays(*matrices)
    assert same_bits(ours[0], theirs[0]) and same_bits(ours[1], theirs[1])


@exact
@given(st.integers(0, 2**32 - 1))
def test_numpys_inverse_to_rounding(seed: int) -> None:
    intrinsics, poses, transforms = calibration(np.random.default_rng(seed), 3)
    rays, origins = camera_rays(intrinsics, poses, transforms)
    expected = poses[:, :3, :3] @ np.linalg.inv(intrinsics) @ np.linalg.inv(transforms)
    # One unit in the last place of binary32, at the size of the terms that cancel.
    np.testing.assert_allclose(rays, expected, rtol=2**-23, atol=2**-40)
    assert same_bits(origins, poses[:, :3, 3].astype(np.float32))


@exact
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_image_transforms_are_those_of_the_reference(raw: tuple[int, int], image: tuple[int, int]) -> None:
    assert image_transform(raw, image).tolist() == oracle.image_transform(raw, image).tolist()


def test_halves_round_to_even_as_in_python() -> None:
    # 5 * 0.5 and 7 * 0.5: 2 and 4 rows, so that the last one's raw coordinate is halfway or not.
    assert image_transform((5, 8), (1, 4))[1, 1] == 2 / 5
    assert image_transform((7, 8), (1, 4))[1, 1] == 4 / 7


@pytest.mark.parametrize("side", [0, -1, MAX_SIDE + 1, 2**40])
def test_sides_that_no_image_has_are_refused(side: int) -> None:
    for place in range(4):
        sides = [8, 8, 8, 8]
        sides[place] = side
        with pytest.raises(ValueError, match="image sides must be 1 to 32768"):
            image_transform((sides[0], sides[1]), (sides[2], sides[3]))


def test_numbers_that_are_almost_a_rotation_pass_and_so_do_mirrored_and_scaled_ones() -> None:
    intrinsics, poses, transforms = calibration(np.random.default_rng(0), 2)
    plain, _ = camera_rays(intrinsics, poses, transforms)
    rounded, _ = camera_rays(intrinsics, poses.round(4), transforms)
    np.testing.assert_allclose(rounded, plain, atol=1e-3)
    scene = np.diag([1.1, -1.1, 1.1, 1.0])
    mirrored, _ = camera_rays(intrinsics, scene @ poses, transforms)
    np.testing.assert_allclose(mirrored, scene[:3, :3] @ plain, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "place"), [("intrinsics", 0), ("camera_to_ego", 1), ("image_transforms", 2)])
def test_values_that_are_not_finite_are_refused(name: str, place: int, value: float) -> None:
    matrices = calibration(np.random.default_rng(1), 3)
    matrices[place][2, 1, 2] = value
    with pytest.raises(ValueError, match=f"{name} of camera 2 must be finite"):
        camera_rays(*matrices)


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.arange(1, 10).reshape(3, 3), np.diag([1e-200] * 3), np.diag([1e200] * 3)]
)
@pytest.mark.parametrize(("name", "place"), [("intrinsics", 0), ("image_transforms", 2)])
def test_singular_matrices_are_refused(name: str, place: int, matrix: NDArray[np.float64]) -> None:
    matrices = calibration(np.random.default_rng(2), 2)
    matrices[place][1] = matrix
    with pytest.raises(ValueError, match=f"{name} of camera 1 must be finite and not singular"):
        camera_rays(*matrices)


def test_matrices_that_are_no_pose_are_refused() -> None:
    intrinsics, poses, transforms = calibration(np.random.default_rng(3), 1)
    stretched = np.diag([1.0, 1.0, 1.01, 1.0])
    sheared = np.eye(4)
    sheared[0, 1] = 0.01
    for wrong in (poses.swapaxes(1, 2), stretched @ poses, sheared @ poses, 0 * poses, poses * 1e200, poses * 1.01):
        with pytest.raises(ValueError, match=r"camera_to_ego of camera 0 must be .* a rotation"):
            camera_rays(intrinsics, wrong, transforms)


def test_rays_beyond_float32_and_wrong_shapes_are_refused() -> None:
    intrinsics, poses, transforms = calibration(np.random.default_rng(4), 2)
    tiny = np.diag([1e-30, 1e-30, 1.0])[None]
    with pytest.raises(ValueError, match="beyond the range of float32"):
        camera_rays(np.repeat(tiny, 2, 0), poses, np.repeat(tiny, 2, 0))
    with pytest.raises(ValueError, match="camera_to_ego must have the shape"):
        camera_rays(intrinsics, poses[:1], transforms)
