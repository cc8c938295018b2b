"""What the objects look like: size per class, and each as a few cuboids inside its annotated box.

A cuboid's style decides how cameras paint its faces and how strongly it reflects LiDAR. Sizes follow the means and
spreads that nuScenes publishes per class.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Style(IntEnum):
    """How a cuboid is painted; see :mod:`vexkd.data.synth.paint`."""

    PLAIN = 0
    CAR_BODY = 1
    CABIN = 2
    TRUCK_CAB = 3
    CARGO = 4
    BUS = 5
    TRAILER = 6
    CHASSIS = 7
    DIGGER = 8
    BARRIER = 9
    CONE = 10
    HEAD = 11
    WALL = 12
    CROWN = 13


@dataclass(frozen=True)
class Part:
    """A cuboid: bounds in the object's frame (x forward, y left, z up from the ground), metres, and colour 0..255."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    style: Style
    colour: tuple[int, int, int]


SIZES: dict[str, tuple[tuple[float, float, float], float]] = {
    "car": ((4.62, 1.95, 1.73), 0.06),
    "truck": ((6.93, 2.51, 2.84), 0.10),
    "construction_vehicle": ((6.37, 2.85, 3.19), 0.10),
    "bus": ((10.5, 2.94, 3.47), 0.07),
    "trailer": ((10.5, 2.90, 3.87), 0.08),
    "barrier": ((0.50, 2.53, 0.98), 0.05),
    "motorcycle": ((2.11, 0.77, 1.47), 0.06),
    "bicycle": ((1.70, 0.60, 1.28), 0.06),
    "pedestrian": ((0.73, 0.67, 1.77), 0.07),
    "traffic_cone": ((0.41, 0.41, 1.07), 0.08),
}
"""Mean (length, width, height) in metres and relative spread per class."""

CATEGORIES = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "construction_vehicle": "vehicle.construction",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "barrier": "movable_object.barrier",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "pedestrian": "human.pedestrian.adult",
    "traffic_cone": "movable_object.trafficcone",
}
"""nuScenes category of each detection class here."""

_CAR_COLOURS = [
    (225, 225, 225), (35, 35, 40), (130, 132, 138), (165, 30, 35), (40, 70, 140), (190, 190, 195), (70, 80, 75),
    (120, 95, 70),
]  # fmt: skip
_TRUCK_COLOURS = [(240, 240, 240), (60, 90, 160), (170, 60, 50), (220, 220, 205)]
_BUS_COLOURS = [(205, 60, 45), (90, 150, 70), (225, 190, 60)]
_TRAILER_COLOURS = [(170, 185, 200), (200, 195, 180), (150, 160, 150)]
_CLOTHES = [
    (180, 50, 50), (50, 80, 160), (60, 120, 70), (210, 200, 190), (40, 40, 45), (200, 150, 60), (130, 80, 140),
]  # fmt: skip
_TROUSERS = [(45, 50, 70), (30, 30, 32), (95, 85, 70)]
_SKIN = (205, 160, 130)
_SAFETY = (235, 130, 20)
_DARK = (28, 28, 30)
_INSET = 0.03
"""Parts stay this far inside the annotated box, so that range noise rarely pushes a point out of it, metres."""


def draw_size(rng: np.random.Generator, name: str, rider: bool = False) -> tuple[float, float, float]:
    """A random (length, width, height) of a class, metres; a cycle with its rider is taller."""
    mean, spread = SIZES[name]
    factors = 1 + spread * np.clip(rng.standard_normal(3), -2, 2)
    length, width, height = (float(round(value, 3)) for value in np.array(mean) * factors)
    return (length, width, round(height + 0.25, 3)) if rider else (length, width, height)


def build(
    rng: np.random.Generator, name: str, size: tuple[float, float, float], rider: bool = False, worker: bool = False
) -> list[Part]:
    """The cuboids of an object of a detection class.

    Args:
        rng: source of its colours.
        name: detection class.
        size: length, width, height of the annotated box, metres.
        rider: a cycle carries its rider.
        worker: a pedestrian wears safety clothes.
    """
    if name == "car":
        parts = _car(_pick(rng, _CAR_COLOURS))
    elif name == "truck":
        parts = _truck(_pick(rng, _TRUCK_COLOURS), _pick(rng, _TRUCK_COLOURS))
    elif name == "bus":
        parts = [((-1, 1), (-1, 1), (0.06, 1), Style.BUS, _pick(rng, _BUS_COLOURS))]
    elif name == "trailer":
        parts = _trailer(_pick(rng, _TRAILER_COLOURS))
    elif name == "construction_vehicle":
        parts = _digger()
    elif name in ("motorcycle", "bicycle"):
        parts = _cycle(name, _pick(rng, _CAR_COLOURS), _pick(rng, _CLOTHES), rider)
    elif name == "pedestrian":
        parts = _pedestrian(_SAFETY if worker else _pick(rng, _CLOTHES), _pick(rng, _TROUSERS))
    elif name == "barrier":
        parts = [
            ((-1, 1), (-1, 1), (0, 0.25), Style.PLAIN, (150, 150, 145)),
            ((-0.5, 0.5), (-1, 1), (0.25, 1), Style.BARRIER, (235, 235, 230)),
        ]
    else:
        parts = _cone()
    return [_scale(part, size) for part in parts]


Shape = tuple[tuple[float, float], tuple[float, float], tuple[float, float], Style, tuple[int, int, int]]
"""x and y bounds in half sizes, z bounds in heights, style, colour."""


def _scale(shape: Shape, size: tuple[float, float, float]) -> Part:
    x, y, z, style, colour = shape
    half_length = size[0] / 2 - min(_INSET, 0.05 * size[0])
    half_width = size[1] / 2 - min(_INSET, 0.05 * size[1])
    height = size[2] - _INSET
    return Part(
        (x[0] * half_length, y[0] * half_width, z[0] * height),
        (x[1] * half_length, y[1] * half_width, z[1] * height),
        style,
        colour,
    )


def _pick(rng: np.random.Generator, colours: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    return colours[int(rng.integers(len(colours)))]


def _car(colour: tuple[int, int, int]) -> list[Shape]:
    return [
        ((-1, 1), (-1, 1), (0.08, 0.56), Style.CAR_BODY, colour),
        ((-0.85, 0.35), (-0.9, 0.9), (0.56, 1), Style.CABIN, colour),
    ]


def _truck(cab: tuple[int, int, int], cargo: tuple[int, int, int]) -> list[Shape]:
    return [
        ((-0.95, 0.95), (-0.9, 0.9), (0.03, 0.25), Style.CHASSIS, _DARK),
        ((0.5, 1), (-0.95, 0.95), (0.2, 0.82), Style.TRUCK_CAB, cab),
        ((-1, 0.44), (-1, 1), (0.25, 1), Style.CARGO, cargo),
    ]


def _trailer(colour: tuple[int, int, int]) -> list[Shape]:
    return [
        ((-0.98, -0.35), (-0.95, 0.95), (0.02, 0.27), Style.CHASSIS, _DARK),
        ((-1, 1), (-1, 1), (0.27, 1), Style.TRAILER, colour),
        ((0.6, 0.66), (-0.6, 0.6), (0, 0.27), Style.PLAIN, _DARK),
    ]


def _digger() -> list[Shape]:
    yellow = (230, 175, 25)
    return [
        ((-1, 0.55), (-1, 1), (0, 0.28), Style.CHASSIS, (50, 48, 45)),
        ((-0.95, 0.2), (-0.85, 0.85), (0.28, 0.55), Style.DIGGER, yellow),
        ((-0.5, 0.1), (-0.75, 0.1), (0.55, 0.88), Style.CABIN, yellow),
        ((0.1, 0.85), (0.15, 0.4), (0.5, 1), Style.DIGGER, yellow),
        ((0.75, 1), (0.05, 0.5), (0.05, 0.55), Style.PLAIN, (90, 85, 80)),
    ]


def _cycle(name: str, colour: tuple[int, int, int], clothes: tuple[int, int, int], rider: bool) -> list[Shape]:
    seat = 0.6 if rider else 0.8
    thin = 0.45 if name == "motorcycle" else 0.2
    parts: list[Shape] = [
        ((-1, -0.45), (-thin * 0.7, thin * 0.7), (0, 0.42), Style.PLAIN, _DARK),
        ((0.45, 1), (-thin * 0.7, thin * 0.7), (0, 0.42), Style.PLAIN, _DARK),
        ((-0.7, 0.6), (-thin, thin), (0.22, seat * 0.8), Style.PLAIN, colour),
        ((0.3, 0.45), (-1, 1), (seat * 0.95, 0.7 if rider else 1), Style.PLAIN, _DARK),
    ]
    if rider:
        parts += [
            ((-0.4, 0.15), (-0.65, 0.65), (0.42, 0.86), Style.PLAIN, clothes),
            ((-0.1, 0.15), (-0.3, 0.3), (0.86, 1), Style.HEAD, _SKIN),
        ]
    return parts


def _pedestrian(clothes: tuple[int, int, int], trousers: tuple[int, int, int]) -> list[Shape]:
    return [
        ((-0.45, 0.45), (-0.6, 0.6), (0, 0.48), Style.PLAIN, trousers),
        ((-0.5, 0.5), (-1, 1), (0.48, 0.86), Style.PLAIN, clothes),
        ((-1, 1), (-0.2, 0.2), (0.02, 0.07), Style.PLAIN, _DARK),
        ((-0.3, 0.3), (-0.3, 0.3), (0.86, 1), Style.HEAD, _SKIN),
    ]


def _cone() -> list[Shape]:
    orange = (240, 95, 20)
    return [
        ((-1, 1), (-1, 1), (0, 0.06), Style.PLAIN, orange),
        ((-0.7, 0.7), (-0.7, 0.7), (0.06, 0.4), Style.PLAIN, orange),
        ((-0.5, 0.5), (-0.5, 0.5), (0.4, 0.72), Style.CONE, orange),
        ((-0.3, 0.3), (-0.3, 0.3), (0.72, 1), Style.PLAIN, orange),
    ]
