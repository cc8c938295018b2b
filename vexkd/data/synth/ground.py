"""The ground of a tile as rasters: what it is made of (for LiDAR) and what it looks like (for cameras)."""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from vexkd.data.synth.actors import park_slots
from vexkd.data.synth.layout import KERB, PARK_DEPTH, STOP_DEPTH, ZONE_DEPTH, Layout

Floats = NDArray[np.float64]

RESOLUTION = 0.1
"""Metres per texel of the finest raster."""
MIP_FACTOR = 4
_SHIFT = 4


class Material(IntEnum):
    """What a texel of the ground is made of."""

    GRASS = 0
    SOIL = 1
    ASPHALT = 2
    WALKWAY = 3
    CARPARK = 4
    KERB = 5
    WHITE = 6
    YELLOW = 7


_COLOURS = np.array(
    [[92, 118, 62], [135, 108, 78], [84, 85, 88], [158, 150, 140], [104, 98, 112], [185, 182, 176], [228, 228, 224],
     [214, 170, 50]],
    np.uint8,
)  # fmt: skip
_GRAIN = np.array([14, 12, 6, 8, 6, 4, 8, 8], np.int16)


@dataclass(frozen=True)
class Ground:
    """Rasters of a tile, row 0 at the smallest y.

    Attributes:
        corner: (2,) global position of the tile's lower left corner.
        material: (n, n) uint8 of :class:`Material` at ``RESOLUTION``.
        mips: RGB uint8 rasters, each ``MIP_FACTOR`` times coarser than the one before.
    """

    corner: Floats
    material: NDArray[np.uint8]
    mips: list[NDArray[np.uint8]]

    def material_at(self, xy: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Material (n,) at global positions (n, 2); grass beyond the tile."""
        cells = np.floor((xy - self.corner) / RESOLUTION).astype(np.int64)
        inside = ((cells >= 0) & (cells < self.material.shape[0])).all(axis=1)
        cells[~inside] = 0
        return np.where(inside, self.material[cells[:, 1], cells[:, 0]], np.uint8(Material.GRASS))

    def colour_at(
        self, x: NDArray[np.float32], y: NDArray[np.float32], texel: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Colour (n, 3) float32 at positions in the tile, blurred to about ``texel`` metres.

        Args:
            x: (n,) metres from the tile's corner.
            y: (n,) metres from the tile's corner.
            texel: (n,) footprint of the pixel on the ground, metres.
        """
        level = np.clip(np.rint(np.log(texel / RESOLUTION) / np.log(MIP_FACTOR)), 0, len(self.mips) - 1)
        colour = np.empty((len(x), 3), np.float32)
        for index, mip in enumerate(self.mips):
            chosen = np.flatnonzero(level == index)
            if len(chosen):
                scale = 1.0 / (RESOLUTION * MIP_FACTOR**index)
                u = (x[chosen] * scale - 0.5).astype(np.float32)
                v = (y[chosen] * scale - 0.5).astype(np.float32)
                colour[chosen] = _sample(mip, u, v)
        return colour


def make_ground(rng: np.random.Generator, layout: Layout) -> Ground:
    """Draw a tile's ground."""
    cells = round(layout.side / RESOLUTION)
    material = np.zeros((cells, cells), np.uint8)
    pen = _Pen(material, layout.corner)
    _draw_areas(pen, layout)
    _draw_paint(pen, layout)
    mips = [_colours(rng, material)]
    for _ in range(3):
        size = max(1, mips[-1].shape[0] // MIP_FACTOR)
        mips.append(np.asarray(cv2.resize(mips[-1], (size, size), interpolation=cv2.INTER_AREA), np.uint8))
    return Ground(layout.corner, material, mips)


def _colours(rng: np.random.Generator, material: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Material colours with grain: fine, repeated every 512 texels, and smooth patches of some metres."""
    cells = len(material)
    fine = rng.integers(-90, 91, (512, 512), np.int16)
    coarse = rng.integers(-90, 91, (cells // 40 + 1,) * 2, np.int16).astype(np.float32)
    patches = cv2.resize(coarse, (cells, cells)).astype(np.int16)
    colour = np.empty((cells, cells, 3), np.uint8)
    for top in range(0, cells, 512):
        rows = material[top : top + 512]
        grain = np.tile(fine, (1, cells // 512 + 1))[: len(rows), :cells] + patches[top : top + 512]
        noise = (grain * _GRAIN[rows]) >> 7
        colour[top : top + 512] = np.clip(_COLOURS.astype(np.int16)[rows] + noise[..., None], 0, 255)
    return colour


def _sample(mip: NDArray[np.uint8], u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bilinear samples (n, 3); the remapper takes images, so the list is folded into rows of 4096."""
    count = len(u)
    rows = -(-count // 4096)
    padded = np.zeros((2, rows * 4096), np.float32)
    padded[0, :count], padded[1, :count] = u, v
    grass = tuple(int(channel) for channel in _COLOURS[Material.GRASS])
    folded = cv2.remap(
        mip, padded[0].reshape(rows, 4096), padded[1].reshape(rows, 4096), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=grass,
    )  # fmt: skip
    return np.asarray(folded.reshape(-1, 3)[:count], np.uint8)


class _Pen:
    """Draws metric shapes into a raster with 1/16 texel precision."""

    def __init__(self, raster: NDArray[np.uint8], corner: Floats) -> None:
        self.raster = raster
        self.corner = corner

    def fill(self, rings: list[Floats], material: Material) -> None:
        """An area of an outer ring and its holes."""
        cv2.fillPoly(self.raster, [self._texels(ring) for ring in rings], (int(material),), shift=_SHIFT)

    def polygon(self, shape: Polygon, material: Material) -> None:
        """A shapely polygon with holes."""
        self.fill([np.asarray(ring.coords) for ring in (shape.exterior, *shape.interiors)], material)

    def line(self, points: Floats, width: float, material: Material) -> None:
        """A line of a width in metres."""
        thickness = max(1, round(width / RESOLUTION))
        cv2.polylines(self.raster, [self._texels(points)], False, (int(material),), thickness, shift=_SHIFT)

    def _texels(self, points: Floats) -> NDArray[np.int32]:
        texels = (points[:, :2] - self.corner) / RESOLUTION - 0.5
        return np.asarray(np.rint(texels * (1 << _SHIFT)), np.int32)


def _draw_areas(pen: _Pen, layout: Layout) -> None:
    road, beside = layout.road, layout.beside
    for block in layout.blocks:
        if block.kind == "zone":
            low, high = sorted((block.side * (beside + 0.8), block.side * (beside + 1.5 + ZONE_DEPTH)))
            pen.fill([road.strip(block.start, block.end, low, high)], Material.SOIL)
    for shape in layout.areas["walkway"]:
        pen.polygon(shape, Material.WALKWAY)
    for sign in (1, -1):
        edge = sign * (layout.half + KERB / 2)
        pen.line(road.line(road.s[0], road.s[-1], edge), KERB, Material.KERB)
    for shape in layout.areas["carpark_area"]:
        pen.polygon(shape, Material.CARPARK)
    for shape in layout.areas["drivable_area"]:
        pen.polygon(shape, Material.ASPHALT)


def _draw_paint(pen: _Pen, layout: Layout) -> None:
    for divider in layout.road_dividers:
        for sign in (1, -1):
            pen.line(np.asarray(divider.parallel_offset(0.18, "left" if sign > 0 else "right").coords), 0.15, _YELLOW)
    for divider in layout.lane_dividers:
        points = np.array([divider.interpolate(s).coords[0] for s in np.arange(0.0, divider.length, 1.0)])
        for start in range(0, len(points) - 3, 6):
            pen.line(points[start : start + 4], 0.18, Material.WHITE)
    for crossing in layout.areas["ped_crossing"]:
        _draw_zebra(pen, crossing)
    for stop in layout.areas["stop_line"]:
        pen.polygon(stop.buffer(-STOP_DEPTH / 4), Material.WHITE)
    for block in layout.blocks:
        if block.kind == "park":
            near = layout.beside + 1.0
            for s in park_slots(block):
                for edge in (s - 1.4, s + 1.4):
                    low, high = sorted((block.side * (near + 0.2), block.side * (near + 5.4)))
                    pen.line(layout.road.strip(edge, edge, low, high)[[0, -1]], 0.12, Material.WHITE)
            d = block.side * (near + PARK_DEPTH - 4.4)
            pen.line(layout.road.line(block.start, block.end, d), 0.12, Material.WHITE)


def _draw_zebra(pen: _Pen, crossing: Polygon) -> None:
    """Bars of 0.6 m with gaps of 0.6 m, in the direction people do not walk: along the crossing's short side."""
    rectangle = np.asarray(crossing.minimum_rotated_rectangle.exterior.coords)[:4]
    if np.hypot(*(rectangle[1] - rectangle[0])) < np.hypot(*(rectangle[2] - rectangle[1])):
        rectangle = np.roll(rectangle, -1, axis=0)
    start, long_side, short_side = rectangle[0], rectangle[1] - rectangle[0], rectangle[3] - rectangle[0]
    length = float(np.hypot(*long_side))
    unit = long_side / length
    for at in np.arange(0.3, length - 0.6, 1.2):
        a, b = start + at * unit, start + (at + 0.6) * unit
        bar = Polygon([a, b, b + short_side, a + short_side]).intersection(crossing)
        for part in shapely.get_parts(bar):
            if part.geom_type == "Polygon" and not part.is_empty:
                pen.polygon(part, Material.WHITE)


_YELLOW = Material.YELLOW
