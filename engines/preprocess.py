"""Sensor data to a bundle's inputs: points padded to their capacity, rays from calibration."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.bundle import Bundle, remake
from vexkd.engines.manifest import CameraInput, PointInput
from vexkd.plugins.errors import UserError
from vexkd.plugins.frustum import camera_rays, image_transform
from vexkd.plugins.points import POINT_SIZE
from vexkd.plugins.points import pad_points as pad_cloud


class Frame(Protocol):
    """Sensor data of one moment, in the ego frame at the LiDAR timestamp; ``vexkd.data.sample.Sample`` is one."""

    @property
    def points(self) -> NDArray[np.float32]:
        """(N, 5) x, y, z in metres, intensity in 0..1, age in seconds."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(V, H, W, 3) RGB as the cameras give them."""

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(V, 3, 3) for the raw images' pixels."""

    @property
    def camera_to_ego(self) -> NDArray[np.float64]:
        """(V, 4, 4) from the camera at its own timestamp to ego at the LiDAR timestamp."""


@dataclass(frozen=True)
class PaddedPoints:
    """A point cloud of fixed capacity N."""

    points: NDArray[np.float32]
    """(N, 5), zeros from ``count`` on."""
    count: NDArray[np.int32]
    """(1,) valid points."""
    dropped: int
    """Points that did not fit; the last ones of the cloud, which are the oldest sweeps."""


def pad_points(points: NDArray[np.float32], capacity: int) -> PaddedPoints:
    """Bring a cloud (M, 5) to a fixed capacity.

    Raises:
        UserError: the cloud does not have five columns.
    """
    if points.ndim != 2 or points.shape[1] != POINT_SIZE:
        raise UserError(f"points must be (N, {POINT_SIZE}): x, y, z, intensity, age; got {list(points.shape)}")
    padded = pad_cloud(points.astype(np.float32, copy=False), capacity)
    return PaddedPoints(padded.points, np.array([padded.count], np.int32), padded.dropped)


def model_inputs(camera: CameraInput | None, points: PointInput | None, frame: Frame) -> dict[str, NDArray[Any]]:
    """A frame as the inputs by name of a model with these sensors.

    Raises:
        UserError: see :func:`ray_inputs` and :func:`pad_points`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    if camera is not None:
        rays, origins = ray_inputs(camera, frame.intrinsics, frame.camera_to_ego)
        arrays |= {"images": np.ascontiguousarray(frame.images), "rays": rays, "origins": origins}
    if points is not None:
        padded = pad_points(frame.points, points.capacity)
        arrays |= {"points": padded.points, "count": padded.count}
    return arrays


def ray_inputs(
    camera: CameraInput, intrinsics: NDArray[np.float64], camera_to_ego: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays (V, 3, 3) and origins (V, 3) from this frame's calibration.

    Raises:
        UserError: the calibration has other cameras than the bundle, or is not finite.
    """
    views = len(camera.cameras)
    for name, value, shape in (("intrinsics", intrinsics, (3, 3)), ("camera_to_ego", camera_to_ego, (4, 4))):
        if value.shape != (views, *shape):
            raise UserError(
                f"{name} must be {[views, *shape]} for {', '.join(camera.cameras)}; got {list(value.shape)}"
            )
        if not np.isfinite(value).all():
            raise UserError(f"{name} holds values that are not finite; check the calibration of this frame")
    transform = image_transform(camera.raw_size, camera.image_size)
    return camera_rays(intrinsics, camera_to_ego, np.broadcast_to(transform, (views, 3, 3)))


def check_images(images: NDArray[Any], camera: CameraInput, bundle: Bundle) -> NDArray[np.uint8]:
    """The images, if they are what the bundle was exported for.

    Raises:
        UserError: another number of cameras, size or dtype.
    """
    expected = (len(camera.cameras), *camera.raw_size, 3)
    if images.shape != expected or images.dtype != np.uint8:
        size = "x".join(str(side) for side in images.shape[1:3])
        raise UserError(
            f"{bundle.path} takes uint8 images {list(expected)}, got {images.dtype} {list(images.shape)}; for images "
            f"of this size export it again with: {remake(bundle.manifest)} --image-size {size}"
        )
    return images
