"""Sweeps to one cloud, in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.points import POINT_SIZE, PointCloud, Sweep
from vexkd.plugins.reference.cells import F32


def accumulate_sweeps(sweeps: Sequence[Sweep], capacity: int) -> PointCloud:
    """Points of several sweeps, in their order, in ego at the keyframe."""
    return pad_points(np.concatenate([np.zeros((0, POINT_SIZE), F32), *map(_moved, sweeps)]), capacity)


def pad_points(cloud: NDArray[np.float32], capacity: int) -> PointCloud:
    """A cloud (N, 5) brought to a fixed capacity."""
    count = min(len(cloud), capacity)
    points = np.zeros((capacity, POINT_SIZE), F32)
    points[:count] = cloud[:count]
    return PointCloud(points, count, len(cloud) - count)


def _moved(sweep: Sweep) -> NDArray[np.float32]:
    xy = sweep.points[:, :2]
    points = sweep.points[(np.abs(xy) >= F32(sweep.own_vehicle)).any(axis=1) | ~np.isfinite(xy).all(axis=1)]
    x, y, z = points[:, :3].T.astype(np.float64)
    moved = np.empty((len(points), POINT_SIZE), F32)
    with np.errstate(invalid="ignore", over="ignore"):
        for axis, m in enumerate(sweep.sensor_to_ego[:3]):
            moved[:, axis] = ((m[0] * x + m[1] * y) + m[2] * z) + m[3]
        moved[:, 3] = points[:, 3] / F32(sweep.intensity_scale)
    moved[:, 4] = sweep.age
    return moved
