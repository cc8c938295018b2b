"""Casting grids of rays at upright cuboids: one caster for LiDAR and cameras.

Each actor is tested only against a window of the grid that surely contains it. Inside the window its parts are
composed first, so that the number of rays that would meet it, were nothing in front, is known too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.scene import Cuboids

Floats = NDArray[np.floating]
Rows = slice
Columns = slice | NDArray[np.int64]


@dataclass
class Hits:
    """What a grid of rays meets first.

    Attributes:
        t: (h, w) float32 ray parameter of the hit; where ``part`` is -1 the limit given to the caster.
        part: (h, w) int32 index of the cuboid, -1 for none.
        alone: (A,) rays that would meet each actor if nothing stood before it.
    """

    t: NDArray[np.float32]
    part: NDArray[np.int32]
    alone: NDArray[np.int64]


def cast(
    origin: Floats,
    directions: NDArray[np.float32],
    limit: NDArray[np.float32],
    cuboids: Cuboids,
    poses: Floats,
    windows: Sequence[tuple[int, Rows, Columns]],
) -> Hits:
    """The nearest cuboid along each ray.

    Args:
        origin: (3,) common origin of the rays, global metres.
        directions: (3, h, w) in global; the ray parameter counts in their lengths.
        limit: (h, w) parameter beyond which nothing is met (the ground).
        cuboids: shapes in the actors' frames.
        poses: (A, 3) x, y, heading of the actors.
        windows: actor, rows and columns of the grid where it may be met.
    """
    t = limit.copy()
    part = np.full(t.shape, -1, np.int32)
    alone = np.zeros(len(poses), np.int64)
    for actor, rows, columns in windows:
        nearest, index = _cast_actor(origin, directions[:, rows, columns], cuboids, actor, poses[actor])
        alone[actor] = np.count_nonzero(index >= 0)
        if alone[actor]:
            before = nearest < t[rows, columns]
            t[rows, columns] = np.where(before, nearest, t[rows, columns])
            part[rows, columns] = np.where(before, index, part[rows, columns])
    return Hits(t, part, alone)


def _cast_actor(
    origin: Floats, window: NDArray[np.float32], cuboids: Cuboids, actor: int, pose: Floats
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    cos, sin = np.float32(np.cos(pose[2])), np.float32(np.sin(pose[2]))
    offset = origin - np.array([pose[0], pose[1], 0.0])
    local_origin = (cos * offset[0] + sin * offset[1], cos * offset[1] - sin * offset[0], offset[2])
    local = (cos * window[0] + sin * window[1], cos * window[1] - sin * window[0], window[2])
    inverse = [1.0 / np.where(np.abs(axis) < 1e-9, np.float32(1e-9), axis) for axis in local]
    nearest = np.full(window.shape[1:], np.inf, np.float32)
    index = np.full(window.shape[1:], -1, np.int32)
    for part in range(cuboids.first[actor], cuboids.first[actor + 1]):
        enter = np.full(window.shape[1:], -np.inf, np.float32)
        leave = np.full(window.shape[1:], np.inf, np.float32)
        for axis in range(3):
            a = np.float32(cuboids.low[part, axis] - local_origin[axis]) * inverse[axis]
            b = np.float32(cuboids.high[part, axis] - local_origin[axis]) * inverse[axis]
            np.maximum(enter, np.minimum(a, b), out=enter)
            np.minimum(leave, np.maximum(a, b), out=leave)
        met = (enter < leave) & (enter > 0) & (enter < nearest)
        nearest[met] = enter[met]
        index[met] = part
    return nearest, index
