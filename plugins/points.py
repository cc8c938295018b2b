"""LiDAR sweeps to one cloud of fixed capacity; semantics in include/vexkd/accumulate_sweeps.h."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import SweepRecord, call, dense, pointer

POINT_SIZE = 5


class Sweep(NamedTuple):
    """One turn of a LiDAR."""

    points: NDArray[np.float32]
    """(N, >=4) float32: x, y, z in the sensor's frame, metres, then raw intensity."""
    sensor_to_ego: NDArray[np.float64]
    """(4, 4) float64: the sensor at the sweep's time to ego at the keyframe's LiDAR timestamp."""
    age: float = 0.0
    """Seconds before the keyframe."""
    intensity_scale: float = 255.0
    """Raw units of the intensity 1."""
    own_vehicle: float = 0.0
    """Metres: points with |x| and |y| below it in the sensor's frame lie on the vehicle and go; 0 keeps all."""


@dataclass(frozen=True)
class PointCloud:
    """Points as Voxelize takes them."""

    points: NDArray[np.float32]
    """(capacity, 5) x, y, z in ego, intensity, age; zeros from ``count`` on."""
    count: int
    dropped: int
    """Points that did not fit: the last ones."""


def accumulate_sweeps(sweeps: Sequence[Sweep], capacity: int, threads: int = 0) -> PointCloud:
    """Points of several sweeps, in their order, moved to ego in binary64 and rounded once.

    Args:
        sweeps: newest first; what does not fit is dropped from the end.
        capacity: rows of the result.
        threads: 0 for all cores.

    Raises:
        ValueError: a wrong dtype or shape.
        KernelError: a sensor_to_ego that is no pose, a scale that is not positive, or 2^31 points and more.
    """
    clouds = [dense(sweep.points, np.float32, (None, None), "points") for sweep in sweeps]
    poses = [dense(sweep.sensor_to_ego, np.float64, (4, 4), "sensor_to_ego") for sweep in sweeps]
    records = (SweepRecord * len(sweeps))(*map(_record, sweeps, clouds, poses))
    return _fill(
        capacity, lambda *outputs: call("accumulate_sweeps_cpu", records, len(sweeps), capacity, *outputs, threads)
    )


def pad_points(cloud: NDArray[np.float32], capacity: int) -> PointCloud:
    """A cloud (N, 5) float32 brought to a fixed capacity.

    Raises:
        ValueError: a wrong dtype or shape.
    """
    cloud = dense(cloud, np.float32, (None, POINT_SIZE), "points")
    return _fill(capacity, lambda *outputs: call("pad_points", pointer(cloud), len(cloud), capacity, *outputs))


def _record(sweep: Sweep, cloud: NDArray[np.float32], pose: NDArray[np.float64]) -> SweepRecord:
    return SweepRecord(pointer(cloud), *cloud.shape, sweep.intensity_scale, sweep.age, pointer(pose), sweep.own_vehicle)


def _fill(capacity: int, fill: Callable[..., None]) -> PointCloud:
    points, counts = np.empty((capacity, POINT_SIZE), np.float32), (ctypes.c_int32 * 2)()
    fill(pointer(points), ctypes.byref(counts, 0), ctypes.byref(counts, 4))
    return PointCloud(points, counts[0], counts[1])
