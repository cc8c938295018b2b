"""A spinning LiDAR of 32 beams (nuScenes' HDL-32E): ranges with noise and dropout, intensity by material."""

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.ground import Ground
from vexkd.data.synth.motion import rotation
from vexkd.data.synth.objects import Style
from vexkd.data.synth.rays import cast
from vexkd.data.synth.scene import Scene

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

BEAMS = 32
AZIMUTHS = 900
"""Firings per turn; the real sensor has about 1085."""
RANGE = 80.0
NEAR = 1.5
ELEVATIONS = np.deg2rad(np.linspace(-30.67, 10.67, BEAMS))
RANGE_NOISE = 0.02
"""Standard deviation of a range, metres."""

_INTENSITY = np.array([18, 14, 9, 22, 10, 26, 30, 26], np.float64)
"""Of the ground by :class:`Material`; paint is brighter than asphalt, as it is for a real sensor."""
_ROUGHNESS = np.array([0.10, 0.06, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01])
"""Height by which the ground may stand out, metres."""


def scan(rng: np.random.Generator, scene: Scene, ground: Ground, t: float, lidar_to_global: Floats) -> Floats32:
    """One turn at t seconds.

    Args:
        rng: source of noise and dropout.
        scene: the world.
        ground: its ground.
        t: seconds since the scene began; the sensor's own motion within a turn is taken as compensated.
        lidar_to_global: (4, 4).

    Returns:
        (N, 5) float32 as nuScenes stores them: x, y, z in the sensor frame (m), intensity 0..255, beam.
    """
    sensor = _directions()
    world = np.einsum("ij,jhw->ihw", lidar_to_global[:3, :3], sensor)
    origin = lidar_to_global[:3, 3]
    poses, present = scene.fleet.poses(t)
    limit = np.where(world[2] < 0, -origin[2] / np.minimum(world[2], -1e-9), np.inf)
    limit = np.minimum(limit, RANGE).astype(np.float32)
    windows = _windows(scene, poses, present, lidar_to_global)
    hits = cast(origin, world.astype(np.float32), limit, scene.cuboids, poses, windows)

    solid = hits.part >= 0
    ranges = hits.t.astype(np.float64)
    intensity = np.zeros_like(ranges)
    intensity[solid] = _object_intensity(scene, hits.part[solid])
    loss = 0.03 + 0.3 * (ranges / RANGE) ** 2
    glass = solid & (scene.cuboids.style[np.maximum(hits.part, 0)] == Style.CABIN)
    loss = np.where(glass, loss + 0.35, loss)

    on_ground = ~solid & (ranges < RANGE)
    beams, firings = np.nonzero(on_ground)
    directions = world[:, beams, firings]
    flat = origin[:2, None] + directions[:2] * ranges[beams, firings]
    material = ground.material_at(flat.T)
    lift = _ROUGHNESS[material] * rng.random(len(material))
    ranges[beams, firings] -= lift / np.maximum(-directions[2], 1e-3) * (lift < origin[2] / 2)
    intensity[beams, firings] = _INTENSITY[material]
    # The flatter a beam meets the ground, the less of it returns.
    loss[beams, firings] += 0.5 * np.clip(1.0 + directions[2] / 0.08, 0.0, 1.0)

    ranges += RANGE_NOISE * rng.standard_normal(ranges.shape)
    intensity = np.clip(np.rint(intensity * (1.0 + 0.2 * rng.standard_normal(ranges.shape))), 0, 255)
    kept = (solid | on_ground) & (rng.random(ranges.shape) >= loss) & (ranges > NEAR) & (ranges < RANGE)
    beams, firings = np.nonzero(kept)
    points = np.empty((len(beams), 5), np.float32)
    points[:, :3] = (sensor[:, beams, firings] * ranges[beams, firings]).T
    points[:, 3] = intensity[beams, firings]
    points[:, 4] = beams
    return points


def count_points(points: Floats32, scene: Scene, poses: Floats, lidar_to_global: Floats) -> NDArray[np.int64]:
    """How many points (N, >=3) of the sensor frame lie in each actor's annotated box, (A,)."""
    world = points[:, :3].astype(np.float64) @ lidar_to_global[:3, :3].T + lidar_to_global[:3, 3]
    counts = np.zeros(len(scene.actors), np.int64)
    for index, actor in enumerate(scene.actors):
        if actor.name is None:
            continue
        x, y, heading = poses[index]
        length, width, height = actor.size
        near = np.abs(world[:, 0] - x) + np.abs(world[:, 1] - y) < length + width
        local = (world[near] - [x, y, 0.0]) @ rotation(heading)
        inside = (np.abs(local[:, 0]) <= length / 2) & (np.abs(local[:, 1]) <= width / 2)
        counts[index] = np.count_nonzero(inside & (local[:, 2] >= 0) & (local[:, 2] <= height))
    return counts


def _directions() -> Floats:
    """Unit directions (3, beams, firings) in the sensor frame; firing k has azimuth 2 pi (k + 0.5) / AZIMUTHS."""
    azimuth = 2 * np.pi * (np.arange(AZIMUTHS) + 0.5) / AZIMUTHS
    elevation = ELEVATIONS[:, None]
    flat = np.cos(elevation)
    up = np.broadcast_to(np.sin(elevation), (BEAMS, AZIMUTHS))
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), up])


def _windows(
    scene: Scene, poses: Floats, present: NDArray[np.bool_], lidar_to_global: Floats
) -> list[tuple[int, slice, NDArray[np.int64]]]:
    """The beams and firings that may meet each actor; an actor in the sensor's own spot gets all."""
    windows = []
    offset = poses[:, :2] - lidar_to_global[:2, 3]
    distance = np.hypot(offset[:, 0], offset[:, 1])
    radius = np.array([np.hypot(actor.size[0], actor.size[1]) / 2 for actor in scene.actors]) + 0.1
    # The sensor's tilt is below 2 degrees: a margin of four firings covers what it does to azimuths.
    forward = lidar_to_global[:3, 0]
    sensor_yaw = np.arctan2(forward[1], forward[0])
    azimuth = np.arctan2(offset[:, 1], offset[:, 0]) - sensor_yaw
    for actor in np.flatnonzero(present & (distance - radius < RANGE)):
        if distance[actor] <= radius[actor] * 1.05:
            rows, columns = slice(0, BEAMS), np.arange(AZIMUTHS)
        else:
            reach = np.arcsin(radius[actor] / distance[actor])
            low = np.floor((azimuth[actor] - reach) / (2 * np.pi) * AZIMUTHS - 0.5) - 4
            high = np.ceil((azimuth[actor] + reach) / (2 * np.pi) * AZIMUTHS - 0.5) + 4
            columns = np.arange(int(low), min(int(high), int(low) + AZIMUTHS - 1) + 1) % AZIMUTHS
            near, far = distance[actor] - radius[actor], distance[actor] + radius[actor]
            above = scene.actors[actor].size[2] - lidar_to_global[2, 3]
            rows = _beams(np.arctan2(-lidar_to_global[2, 3], near), np.arctan2(above, near if above > 0 else far))
        windows.append((int(actor), rows, columns))
    return windows


def _beams(low: float, high: float) -> slice:
    """The beams between two elevations, with a margin for the sensor's tilt."""
    margin = np.deg2rad(3.0)
    return slice(int(np.searchsorted(ELEVATIONS, low - margin)), int(np.searchsorted(ELEVATIONS, high + margin)))


def _object_intensity(scene: Scene, part: NDArray[np.int32]) -> Floats:
    bright = scene.cuboids.colour[part].mean(axis=1) / 255.0
    style = scene.cuboids.style[part]
    base = 8.0 + 50.0 * bright
    base = np.where(style == Style.CONE, 180.0, base)
    base = np.where(style == Style.BARRIER, 90.0, base)
    base = np.where(style == Style.CABIN, 0.5 * base, base)
    return np.asarray(np.where(style == Style.CROWN, 12.0, base))
