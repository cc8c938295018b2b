"""The sensors on the ego vehicle: nuScenes' arrangement with a little scatter from vehicle to vehicle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import CAMERAS
from vexkd.data.synth.motion import rotation

Floats = NDArray[np.float64]

LIDAR = "LIDAR_TOP"

_CAMERA_MOUNTS = {
    "CAM_FRONT_LEFT": ((1.52, 0.49, 1.51), 55.0, 1270.0, -0.043),
    "CAM_FRONT": ((1.70, 0.00, 1.51), 0.0, 1266.0, -0.035),
    "CAM_FRONT_RIGHT": ((1.55, -0.49, 1.50), -56.0, 1260.0, -0.028),
    "CAM_BACK_LEFT": ((1.03, 0.48, 1.59), 108.0, 1256.0, -0.001),
    "CAM_BACK": ((0.03, 0.00, 1.58), 180.0, 809.0, -0.010),
    "CAM_BACK_RIGHT": ((1.01, -0.48, 1.56), -110.0, 1259.0, -0.020),
}
"""Place in ego (m), yaw (degrees), focal length for 1600 pixels of width, seconds relative to the LiDAR's keyframe."""

_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera axes (right, down, forward) in the frame of a vehicle it looks ahead from."""


@dataclass(frozen=True)
class Mount:
    """A sensor on the vehicle.

    Attributes:
        channel: its nuScenes name.
        to_ego: (4, 4) sensor to ego.
        intrinsics: (3, 3) for cameras, None for the LiDAR.
        delay: seconds from the LiDAR's keyframe time to its own.
    """

    channel: str
    to_ego: Floats
    intrinsics: Floats | None
    delay: float


def make_rig(rng: np.random.Generator, image_size: tuple[int, int]) -> tuple[Mount, dict[str, Mount]]:
    """The LiDAR and the six cameras of one vehicle for images of (height, width)."""
    lidar = Mount(LIDAR, _pose(rng, (0.94, 0.0, 1.84), rotation(-np.pi / 2)), None, 0.0)
    height, width = image_size
    cameras = {}
    for channel in CAMERAS:
        place, yaw, focal, delay = _CAMERA_MOUNTS[channel]
        scaled = focal * width / 1600.0 * (1.0 + 0.005 * rng.uniform(-1, 1))
        centre = (width * (0.51 + 0.01 * rng.uniform(-1, 1)), height * (0.546 + 0.01 * rng.uniform(-1, 1)))
        intrinsics = np.array([[scaled, 0.0, centre[0]], [0.0, scaled, centre[1]], [0.0, 0.0, 1.0]])
        to_ego = _pose(rng, place, rotation(np.deg2rad(yaw)) @ _AXES)
        cameras[channel] = Mount(channel, to_ego, intrinsics, delay)
    return lidar, cameras


def _pose(rng: np.random.Generator, place: tuple[float, float, float], turned: Floats) -> Floats:
    """A mounting with up to 2 cm and 0.5 degrees of scatter."""
    angles = np.deg2rad(0.5) * rng.uniform(-1, 1, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(*(float(angle) for angle in angles)) @ turned
    matrix[:3, 3] = np.array(place) + 0.02 * rng.uniform(-1, 1, 3)
    return matrix
