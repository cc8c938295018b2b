"""What the kernels are measured on: the real keyframe where it is at hand, else numbers like its."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.frustum import camera_rays, image_transform

RAW_SIZE, IMAGE_SIZE = (900, 1600), (256, 704)


@dataclass(frozen=True)
class Sensors:
    """A keyframe's cloud and calibration."""

    source: str
    cloud: NDArray[np.float32]
    """(N, 5) x, y, z in ego metres, intensity, age."""
    intrinsics: NDArray[np.float64]
    camera_to_ego: NDArray[np.float64]

    def rays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rays and origins for 256x704 images."""
        transforms = np.broadcast_to(image_transform(RAW_SIZE, IMAGE_SIZE), (6, 3, 3))
        return camera_rays(self.intrinsics, self.camera_to_ego, transforms)

    def many_points(self, count: int) -> NDArray[np.float32]:
        """``count`` points as ten sweeps give them: the cloud again and again, each time driven 0.5 m further."""
        repeats = -(-count // len(self.cloud))
        sweeps = []
        for sweep in range(repeats):
            moved = self.cloud + np.random.default_rng(sweep).normal(0, 0.02, self.cloud.shape).astype(np.float32)
            moved[:, 0] -= 0.5 * sweep
            moved[:, 4] = 0.05 * sweep
            sweeps.append(moved)
        return np.concatenate(sweeps)[:count]


def load_sensors() -> Sensors:
    """The real keyframe of ``VEXKD_REAL_DATA`` or beside the checkout, else a likeness of it."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "nuscenes-one"
    root = Path(os.environ.get("VEXKD_REAL_DATA", beside))
    return _real(root) if (root / "v1.0-mini").is_dir() else _likeness()


def _real(root: Path) -> Sensors:
    from vexkd.config import DataConfig
    from vexkd.data.dataset import NuScenesDataset

    sample = NuScenesDataset(DataConfig(root=root), "all", images=False)[0]
    file = next((root / "samples" / "LIDAR_TOP").glob("*.pcd.bin"))
    cloud = np.fromfile(file, np.float32).reshape(-1, 5)
    # Sensor to ego: nuScenes mounts the LiDAR 0.94 m before the rear axle, 1.84 m up, x to the right.
    moved = np.stack([cloud[:, 1] + 0.94, -cloud[:, 0], cloud[:, 2] + 1.84], axis=1)
    cloud = np.concatenate([moved, cloud[:, 3:4] / 255, np.zeros((len(cloud), 1))], axis=1).astype(np.float32)
    return Sensors("real nuScenes keyframe", cloud, sample.intrinsics, sample.camera_to_ego)


def _likeness() -> Sensors:
    """32 beams over flat ground with walls, and six cameras with nuScenes' fields of view."""
    rng = np.random.default_rng(0)
    azimuth, beam = np.meshgrid(np.linspace(-np.pi, np.pi, 1084, endpoint=False), np.radians(np.linspace(-30, 10, 32)))
    wall = 12 + 25 * np.abs(np.sin(3 * azimuth))
    distance = np.minimum(1.84 / np.maximum(np.tan(-beam), 1e-3), wall) + rng.normal(0, 0.02, beam.shape)
    z = 1.84 + distance * np.tan(beam)
    columns = [distance * np.cos(azimuth), distance * np.sin(azimuth), z, rng.random(beam.shape), 0 * beam]
    cloud = np.stack([column.ravel() for column in columns], axis=1).astype(np.float32)
    intrinsics, poses = [], []
    for yaw, focal in ((55, 1266), (0, 1266), (-55, 1266), (110, 1260), (180, 809), (-110, 1260)):
        cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        pose = np.eye(4)
        pose[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
        pose[:3, 3] = 1.0 + 0.7 * cos, 0.5 * sin, 1.5
        poses.append(pose)
        intrinsics.append([[focal, 0, 816], [0, focal, 491], [0, 0, 1]])
    return Sensors("likeness of a nuScenes keyframe", cloud, np.array(intrinsics, float), np.array(poses))
