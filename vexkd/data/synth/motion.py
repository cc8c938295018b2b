"""How things move: along a road at a swinging speed, or not at all; and the ego vehicle's pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.road import Road

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Distance over time: mean ``speed`` with a sinusoidal part of amplitude ``swing`` m/s and ``rate`` rad/s."""

    speed: float
    swing: float = 0.0
    rate: float = 1.0

    def distance(self, t: float) -> float:
        """Metres travelled since t = 0 s."""
        return self.speed * t + self.swing / self.rate * (1.0 - float(np.cos(self.rate * t)))


@dataclass(frozen=True)
class Track:
    """Either on the road (``s``, ``d``, ``direction`` and a motion) or standing (``pose``: x, y, heading, global)."""

    s: float = 0.0
    d: float = 0.0
    direction: int = 1
    motion: Motion | None = None
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Ego:
    """The ego vehicle: keeps its lane and sways a little, so that poses are never flat.

    Attributes:
        road: the road it follows, from s = 0.
        d: its lane's offset, metres.
        motion: its distance over time.
        phase: (2,) phases of pitch and roll, radians.
    """

    road: Road
    d: float
    motion: Motion
    phase: tuple[float, float]

    def pose(self, t: float) -> Floats:
        """ego_to_global (4, 4) at t seconds; the origin is on the ground below the rear axle."""
        xy, heading = self.road.at(self.motion.distance(t), self.d)
        pitch = 0.006 * np.sin(1.9 * t + self.phase[0])
        roll = 0.005 * np.sin(1.3 * t + self.phase[1])
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(float(heading), float(pitch), float(roll))
        matrix[:2, 3] = xy
        return matrix


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """Rotation matrix (3, 3) of yaw about z, then pitch about y, then roll about x, radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    return np.asarray(about_z @ about_y @ about_x)


class Fleet:
    """The tracks of all actors as arrays, so that a moment's poses cost one interpolation."""

    def __init__(self, road: Road, tracks: list[Track]) -> None:
        self.road = road
        self.moves = np.array([track.motion is not None for track in tracks])
        self.s = np.array([track.s for track in tracks])
        self.d = np.array([track.d for track in tracks])
        self.direction = np.array([track.direction for track in tracks], np.float64)
        motions = [track.motion or Motion(0.0) for track in tracks]
        self.speed = np.array([motion.speed for motion in motions])
        self.swing = np.array([motion.swing for motion in motions])
        self.rate = np.array([motion.rate for motion in motions])
        self.still = np.array([track.pose for track in tracks]).reshape(-1, 3)

    def poses(self, t: float) -> tuple[Floats, NDArray[np.bool_]]:
        """(x, y, heading) as (A, 3) in global at t seconds, and which actors are on the road at all (A,)."""
        distance = self.speed * t + self.swing / self.rate * (1.0 - np.cos(self.rate * t))
        s = self.s + self.direction * distance
        xy, heading = self.road.at(s, self.d)
        heading = heading + np.where(self.direction > 0, 0.0, np.pi)
        moving = np.concatenate([xy, heading[:, None]], axis=1)
        present = ~self.moves | ((s >= self.road.s[0]) & (s <= self.road.s[-1]))
        return np.where(self.moves[:, None], moving, self.still), present
