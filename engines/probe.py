"""A made-up frame for a bundle: plausible calibration, images and points, the same for the same seed.

It serves benchmarks and parity checks where no data set is at hand: every pixel is random and the point cloud is full.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.manifest import CameraInput, Grid, PointInput

YAWS = (55.0, 0.0, -55.0, 110.0, 180.0, -110.0)
"""Headings of nuScenes' six cameras in degrees, in this project's order."""
HEIGHT = 1.5
FIELD_OF_VIEW = 65.0


@dataclass(frozen=True)
class ProbeFrame:
    """A frame as :class:`vexkd.engines.preprocess.Frame` describes it."""

    points: NDArray[np.float32]
    images: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]
    camera_to_ego: NDArray[np.float64]


def probe_frame(grid: Grid, camera: CameraInput | None, points: PointInput | None, seed: int = 0) -> ProbeFrame:
    """A frame for models with these inputs; a sensor the model does not read is empty."""
    rng = np.random.default_rng(seed)
    views = 0 if camera is None else len(camera.cameras)
    height, width = (1, 1) if camera is None else camera.raw_size
    yaws = np.resize(np.radians(YAWS), views)
    focal = width / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    intrinsics = np.broadcast_to([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], (views, 3, 3))
    return ProbeFrame(
        points=_cloud(rng, grid, 0 if points is None else points.capacity),
        images=rng.integers(0, 256, (views, height, width, 3), dtype=np.uint8),
        intrinsics=np.array(intrinsics, np.float64),
        camera_to_ego=np.stack([_pose(yaw) for yaw in yaws]) if views else np.zeros((0, 4, 4)),
    )


def _pose(yaw: float) -> NDArray[np.float64]:
    """Camera looking along yaw, its x to the right and its y down."""
    forward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, [0.0, 0.0, -1.0], forward], axis=1)
    pose[:3, 3] = [1.0 * forward[0], 1.0 * forward[1], HEIGHT]
    return pose


def _cloud(rng: np.random.Generator, grid: Grid, count: int) -> NDArray[np.float32]:
    """Points as dense near the ego as a spinning LiDAR's: uniform in angle and in range."""
    reach = max(abs(side) for side in (*grid.x, *grid.y))
    angle = rng.uniform(-np.pi, np.pi, count)
    distance = rng.uniform(1.0, reach, count)
    columns = [
        distance * np.cos(angle),
        distance * np.sin(angle),
        rng.uniform(*grid.z, count),
        rng.uniform(0, 1, count),
        rng.integers(0, 10, count) * 0.05,
    ]
    cloud: NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return cloud
