"""Sensor data to inputs."""

import numpy as np
import pytest
from tiny_bundles import camera_input, make_bundle
from tiny_models import RAW_SIZE, calibration, tiny_config

from vexkd.engines.preprocess import check_images, pad_points, ray_inputs
from vexkd.models.frustum import ray_inputs as training_ray_inputs
from vexkd.plugins.errors import UserError


@pytest.mark.parametrize(("rows", "count", "dropped"), [(0, 0, 0), (3, 3, 0), (8, 8, 0), (11, 8, 3)])
def test_points_are_padded_and_overflow_is_reported(rows: int, count: int, dropped: int) -> None:
    cloud = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    padded = pad_points(cloud, 8)
    assert padded.points.shape == (8, 5) and padded.points.dtype == np.float32
    assert padded.count.tolist() == [count] and padded.count.dtype == np.int32
    assert padded.dropped == dropped
    np.testing.assert_array_equal(padded.points[:count], cloud[:count])
    assert not padded.points[count:].any()


def test_points_of_another_width_are_refused() -> None:
    with pytest.raises(UserError, match=r"points must be \(N, 5\).*\[3, 4\]"):
        pad_points(np.zeros((3, 4), np.float32), 8)


def test_the_rays_are_those_of_training() -> None:
    intrinsics, poses = calibration()
    config = tiny_config("camera")
    assert config.camera is not None
    rays, origins = ray_inputs(camera_input(), intrinsics[0], poses[0])
    expected = training_ray_inputs(config.camera, intrinsics, poses, RAW_SIZE)
    np.testing.assert_array_equal(rays, expected[0])
    np.testing.assert_array_equal(origins, expected[1])


def test_calibration_that_is_not_finite_or_of_other_cameras_is_refused() -> None:
    intrinsics, poses = calibration()
    broken = poses[0].copy()
    broken[1, 0, 3] = np.nan
    with pytest.raises(UserError, match="camera_to_ego holds values that are not finite"):
        ray_inputs(camera_input(), intrinsics[0], broken)
    with pytest.raises(UserError, match=r"intrinsics must be \[2, 3, 3\] for CAM_A, CAM_B; got \[1, 3, 3\]"):
        ray_inputs(camera_input(), intrinsics[0, :1], poses[0])


def test_images_of_another_size_are_refused_with_the_mending_command(tmp_path) -> None:  # type: ignore[no-untyped-def]
    bundle = make_bundle(tmp_path / "b.vexkd")
    images = np.zeros((2, *RAW_SIZE, 3), np.uint8)
    assert check_images(images, camera_input(), bundle) is images
    with pytest.raises(UserError, match="vexkd export runs/by-hand --image-size 10x20"):
        check_images(np.zeros((2, 10, 20, 3), np.uint8), camera_input(), bundle)
    with pytest.raises(UserError, match="float32"):
        check_images(images.astype(np.float32), camera_input(), bundle)
