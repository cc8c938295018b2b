"""The colour of a cuboid's surface: base colour and the marks by which people tell front from back.

Everything is computed for a list of surface points at once. Faces are numbered 0 front, 1 back, 2 left, 3 right,
4 top, 5 bottom; (a, b, c) are a point's coordinates in half sizes along x, y, z, each in -1..1.
"""

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.objects import Style

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

_GLASS = (38, 48, 58)
_TYRE = (22, 22, 24)
_LAMP = (255, 250, 215)
_REAR = (205, 20, 25)
_WHITE = (235, 235, 235)
_HAIR = (60, 42, 30)


def paint(style: NDArray[np.int64], face: NDArray[np.int64], abc: Floats, half: Floats, colour: Floats) -> Floats:
    """Unlit colours (n, 3) float32 of surface points.

    Args:
        style: (n,) :class:`Style` of each point's cuboid.
        face: (n,) face the point lies on.
        abc: (n, 3) coordinates in half sizes.
        half: (n, 3) half sizes of the cuboid, metres.
        colour: (n, 3) base colours, 0..255.
    """
    colour = colour.copy()
    for kind, marks in _MARKS.items():
        chosen = np.flatnonzero(style == kind)
        if len(chosen):
            a, b, c = abc[chosen].T
            part = colour[chosen]
            marks(part, face[chosen], a, b, c, half[chosen])
            colour[chosen] = part
    return colour


def _set(colour: Floats, where: Bools, value: tuple[int, int, int]) -> None:
    colour[where] = value


def _wheels(colour: Floats, face: NDArray[np.int64], a: Floats, c: Floats, half: Floats, at: float) -> None:
    """Dark discs at a = +-at on both sides, their lower edge at the cuboid's."""
    radius = np.minimum(0.36, half[:, 2])
    along = (np.abs(a) - at) * half[:, 0]
    up = (c + 1) * half[:, 2] - radius
    _set(colour, ((face == 2) | (face == 3)) & (along**2 + up**2 < radius**2), _TYRE)


def _lamps(colour: Floats, face: NDArray[np.int64], b: Floats, c: Floats, low: float, high: float) -> None:
    side = (np.abs(b) > 0.6) & (np.abs(b) < 0.95) & (c > low) & (c < high)
    _set(colour, (face == 0) & side, _LAMP)
    _set(colour, (face == 1) & side, _REAR)


def _car_body(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    colour[(face < 4) & (c < -0.7)] *= 0.4
    _set(colour, (face == 0) & (np.abs(b) < 0.5) & (c > -0.5) & (c < 0.2), _TYRE)
    _set(colour, (face == 1) & (np.abs(b) < 0.25) & (c > -0.4) & (c < 0.1), _WHITE)
    _lamps(colour, face, b, c, 0.05, 0.7)
    _wheels(colour, face, a, c, half, 0.62)


def _cabin(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    pillar = np.where(face < 2, np.abs(b), np.minimum(np.abs(a), np.abs(np.abs(a - 0.05) - 1.0) + 0.2))
    _set(colour, (face < 4) & (c > -0.85) & (c < 0.7) & (pillar < 0.88) & ((face < 2) | (np.abs(a) > 0.06)), _GLASS)


def _truck_cab(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    _set(colour, (face == 0) & (c > 0.1) & (c < 0.85) & (np.abs(b) < 0.9), _GLASS)
    _set(colour, (face == 0) & (c > -0.6) & (c < -0.1) & (np.abs(b) < 0.5), _TYRE)
    _set(colour, ((face == 2) | (face == 3)) & (c > 0.15) & (c < 0.8) & (a > -0.2) & (a < 0.8), _GLASS)
    _lamps(colour, face, b, c, -0.75, -0.45)


def _cargo(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    colour[(face == 1) & (np.abs(b) < 0.03)] *= 0.4
    stripes = (face == 1) & (c < -0.85)
    _set(colour, stripes, _REAR)
    _set(colour, stripes & (np.mod(b * 4, 1.0) < 0.5), _WHITE)
    edge = (np.abs(a) > 0.97).astype(int) + (np.abs(b) > 0.97) + (np.abs(c) > 0.97)
    colour[(edge > 1) & (face < 4)] *= 0.7


def _bus(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    sides = (face == 2) | (face == 3)
    _set(colour, sides & (c > 0.0) & (c < 0.65) & (np.mod(a * half[:, 0], 1.4) > 0.15) & (np.abs(a) < 0.97), _GLASS)
    _set(colour, (face < 4) & (c > -0.25) & (c < -0.12), _WHITE)
    _set(colour, (face == 0) & (c > -0.1) & (c < 0.75) & (np.abs(b) < 0.93), _GLASS)
    _set(colour, (face == 0) & (c > 0.8) & (c < 0.95) & (np.abs(b) < 0.6), (250, 160, 40))
    _set(colour, (face == 1) & (c > 0.2) & (c < 0.65) & (np.abs(b) < 0.7), _GLASS)
    _lamps(colour, face, b, c, -0.75, -0.5)
    _wheels(colour, face, a, c, half, 0.62)


def _trailer(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    sides = (face == 2) | (face == 3)
    colour[sides & (np.mod(a * half[:, 0], 0.9) < 0.14)] *= 0.65
    colour[(face == 1) & (np.abs(b) < 0.03)] *= 0.4
    _lamps(colour, face, b, c, -0.97, -0.85)


def _chassis(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    sides = (face == 2) | (face == 3)
    _set(colour, sides & (np.mod(a * half[:, 0], 1.3) < 0.35), (70, 70, 72))


def _digger(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    along = np.where(face < 2, b * half[:, 1], a * half[:, 0])
    _set(colour, (face < 4) & (c < -0.5) & (np.mod(along + c * half[:, 2], 0.6) < 0.3), (35, 32, 28))
    _set(colour, (face == 1) & (np.abs(b) < 0.6) & (c > -0.2), (60, 58, 52))


def _barrier(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    _set(colour, (face < 2) & (np.mod(b * half[:, 1] + c * half[:, 2], 0.7) < 0.35), (215, 45, 35))


def _cone(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    _set(colour, (face < 4) & (np.abs(c) < 0.6), _WHITE)


def _head(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    _set(colour, (face == 1) | (face == 4) | ((face < 4) & (c > 0.5)), _HAIR)


def _wall(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    along = np.where(face < 2, b * half[:, 1], a * half[:, 0])
    up = (c + 1) * half[:, 2]
    window = (np.mod(along, 2.4) > 0.7) & (np.mod(along, 2.4) < 1.9) & (np.mod(up, 3.0) > 1.1) & (np.mod(up, 3.0) < 2.4)
    _set(colour, (face < 4) & window, (70, 82, 95))


def _crown(colour: Floats, face: NDArray[np.int64], a: Floats, b: Floats, c: Floats, half: Floats) -> None:
    ripple = np.sin(7 * a * half[:, 0] + 3 * c) * np.sin(6 * b * half[:, 1] - 2 * c) * np.sin(8 * c * half[:, 2])
    colour *= (1.0 + 0.25 * ripple)[:, None]


_MARKS = {
    Style.CAR_BODY: _car_body,
    Style.CABIN: _cabin,
    Style.TRUCK_CAB: _truck_cab,
    Style.CARGO: _cargo,
    Style.BUS: _bus,
    Style.TRAILER: _trailer,
    Style.CHASSIS: _chassis,
    Style.DIGGER: _digger,
    Style.BARRIER: _barrier,
    Style.CONE: _cone,
    Style.HEAD: _head,
    Style.WALL: _wall,
    Style.CROWN: _crown,
}
