"""One scene: its ground, its ego vehicle, its actors, and where everything is at a moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.actors import Actor, populate
from vexkd.data.synth.layout import LANE, Layout, make_layout, tile_side
from vexkd.data.synth.motion import Ego, Fleet, Motion

Floats = NDArray[np.float64]

KEYFRAME_SECONDS = 0.5
MAX_SPEED = 9.0


@dataclass(frozen=True)
class Cuboids:
    """All parts of all actors as arrays, in the actors' own frames.

    Attributes:
        low, high: (P, 3) bounds, metres.
        style: (P,) :class:`~vexkd.data.synth.objects.Style`.
        colour: (P, 3) 0..255.
        actor: (P,) index of the actor, ascending.
        first: (A + 1,) where each actor's parts begin.
    """

    low: Floats
    high: Floats
    style: NDArray[np.int64]
    colour: Floats
    actor: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """A scene ready to be sensed.

    Attributes:
        layout: the ground.
        ego: the ego vehicle.
        actors: objects and scenery.
        fleet: where the actors are over time.
        cuboids: their shapes.
        sun: (3,) unit vector towards the sun, global.
        brightness: exposure of the cameras.
    """

    layout: Layout
    ego: Ego
    actors: list[Actor]
    fleet: Fleet
    cuboids: Cuboids
    sun: Floats
    brightness: float


def scene_side(keyframes: int) -> float:
    """Side of the tile that holds any scene of so many keyframes, metres."""
    return tile_side(_way(keyframes))


def make_scene(rng: np.random.Generator, keyframes: int, corner: Floats) -> Scene:
    """A random scene whose tile begins at ``corner`` (2,), global metres."""
    motion = Motion(float(rng.uniform(4.0, 7.5)), float(rng.uniform(0.0, 1.2)), float(rng.uniform(0.3, 0.8)))
    duration = keyframes * KEYFRAME_SECONDS
    layout = make_layout(rng, motion.distance(duration), scene_side(keyframes), corner)
    lane = int(rng.integers(layout.lanes))
    phase = (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi)))
    ego = Ego(layout.road, -(lane + 0.5) * LANE, motion, phase)
    actors = populate(rng, layout, ego, duration)
    azimuth, height = rng.uniform(-np.pi, np.pi), rng.uniform(0.6, 1.2)
    sun = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    fleet = Fleet(layout.road, [actor.track for actor in actors])
    return Scene(layout, ego, actors, fleet, _cuboids(actors), sun, float(rng.uniform(0.85, 1.1)))


def _way(keyframes: int) -> float:
    return MAX_SPEED * keyframes * KEYFRAME_SECONDS + 10.0


def _cuboids(actors: list[Actor]) -> Cuboids:
    parts = [part for actor in actors for part in actor.parts]
    counts = [len(actor.parts) for actor in actors]
    return Cuboids(
        low=np.array([part.low for part in parts]),
        high=np.array([part.high for part in parts]),
        style=np.array([int(part.style) for part in parts]),
        colour=np.array([part.colour for part in parts], np.float64),
        actor=np.repeat(np.arange(len(actors)), counts),
        first=np.concatenate([[0], np.cumsum(counts)]),
    )
