"""A curved road and its own coordinates: s along the centre line, d to its left, metres."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Road:
    """The centre line of a road, sampled every metre.

    Attributes:
        s: (n,) arc length, ascending; 0 is where the ego vehicle begins.
        xy: (n, 2) positions.
        heading: (n,) direction of growing s, radians, continuous.
    """

    s: Floats
    xy: Floats
    heading: Floats

    def at(self, s: Floats | float, d: Floats | float) -> tuple[Floats, Floats]:
        """Positions (..., 2) and road headings (...) of road coordinates; s beyond the ends is clamped."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        heading = np.interp(s, self.s, self.heading)
        centre = np.stack([np.interp(s, self.s, self.xy[:, 0]), np.interp(s, self.s, self.xy[:, 1])], axis=-1)
        normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
        return centre + d[..., None] * normal, heading

    def line(self, start: float, end: float, d: float) -> Floats:
        """A line (k, 2) beside the centre line, a vertex at least every metre."""
        s = np.linspace(start, end, max(2, round(abs(end - start)) + 1))
        return self.at(s, d)[0]

    def strip(self, start: float, end: float, low: float, high: float) -> Floats:
        """The polygon (k, 2) between two s and two d."""
        return np.concatenate([self.line(start, end, low), self.line(end, start, high)])

    def across(self, s: float, along: tuple[float, float], d: tuple[float, float]) -> Floats:
        """A rectangle (4, 2) in the straight frame that touches the road at s: ``along`` it, ``d`` to its left."""
        origin, heading = self.at(s, 0.0)
        tangent = np.array([np.cos(heading), np.sin(heading)])
        normal = np.array([-tangent[1], tangent[0]])
        corners = [(along[0], d[0]), (along[1], d[0]), (along[1], d[1]), (along[0], d[1])]
        return np.array([origin + a * tangent + b * normal for a, b in corners])


def make_road(rng: np.random.Generator, start: float, end: float, side: float, corner: Floats) -> Road:
    """A random road from s = start to end, centred in a square tile.

    The heading swings by less than 0.5 rad over more than 280 m, so no curve is tighter than 90 m and offsets to
    either side never cross.

    Args:
        rng: source of every choice.
        start: first s, at most 0.
        end: last s.
        side: side of the tile, metres.
        corner: (2,) lower left corner of the tile.
    """
    s = np.arange(np.floor(start), np.ceil(end) + 1.0)
    swing = rng.uniform(0.15, 0.5)
    length = rng.uniform(280.0, 400.0)
    heading = rng.uniform(-np.pi, np.pi) + swing * np.sin(2 * np.pi * s / length + rng.uniform(0, 2 * np.pi))
    middle = (heading[1:] + heading[:-1]) / 2
    steps = np.stack([np.cos(middle), np.sin(middle)], axis=1)
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    xy += corner + side / 2 - (xy.min(axis=0) + xy.max(axis=0)) / 2
    return Road(s, xy, heading)
