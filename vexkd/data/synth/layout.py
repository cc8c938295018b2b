"""What lies on the ground of one scene: carriageway, crossings, stop lines, walkways, car parks, work zones, dividers.

Traffic keeps to the right. A main road with one or two lanes each way meets side streets; between them lie blocks, and
beside the road each block has a car park, a work zone or a building plot.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from vexkd.data.synth.road import Road, make_road

Floats = NDArray[np.float64]

LANE = 3.5
SHOULDER = 1.5
KERB = 0.5
STREET_HALF = 4.5
"""Half width of a side street: one lane each way and a metre."""
STREET_REACH = 75.0
CROSSING = 3.5
STOP_GAP = 1.0
STOP_DEPTH = 1.5
MARGIN = 75.0
"""The road goes on this far before and behind the ego's way, metres."""
PARK_DEPTH = 17.0
ZONE_DEPTH = 9.0


@dataclass(frozen=True)
class Block:
    """A stretch of roadside between side streets; ``side`` is +1 left of the road, -1 right."""

    kind: str
    side: int
    start: float
    end: float


@dataclass(frozen=True)
class Layout:
    """The ground of one scene, all shapes in global coordinates.

    Attributes:
        road: the main road.
        lanes: lanes each way.
        walk: width of the walkways, metres.
        streets: s of every side street.
        blocks: car parks (``park``), work zones (``zone``) and building plots (``plot``).
        corner: (2,) lower left corner of the scene's tile.
        side: side of the tile, metres.
        areas: shapely geometry per polygon layer of the map expansion.
        road_dividers, lane_dividers: shapely lines.
    """

    road: Road
    lanes: int
    walk: float
    streets: tuple[float, ...]
    blocks: tuple[Block, ...]
    corner: Floats
    side: float
    areas: dict[str, list[Polygon]]
    road_dividers: list[LineString]
    lane_dividers: list[LineString]

    @property
    def half(self) -> float:
        """Half width of the main road."""
        return half_width(self.lanes)

    @property
    def beside(self) -> float:
        """Distance from the centre line to what lies behind the walkway."""
        return self.half + KERB + self.walk


def half_width(lanes: int) -> float:
    """Half width of a main road with this many lanes each way, metres."""
    return lanes * LANE + SHOULDER


def tile_side(way: float) -> float:
    """Side of the square tile that holds a scene whose ego drives ``way`` metres."""
    return float(np.ceil((way + 2 * MARGIN + 20.0) / 10) * 10)


def make_layout(rng: np.random.Generator, way: float, side: float, corner: Floats) -> Layout:
    """A random layout around an ego that drives from s = 0 to s = way.

    Args:
        rng: source of every choice.
        way: length of the ego's way, metres.
        side: side of the tile, at least ``tile_side(way)``.
        corner: (2,) lower left corner of the tile, metres.
    """
    road = make_road(rng, -MARGIN, way + MARGIN, side, corner)
    lanes = int(rng.integers(1, 3))
    walk = float(rng.uniform(2.5, 4.0))
    first = rng.uniform(22.0, 40.0)
    gap = rng.uniform(85.0, 110.0)
    positions = first + gap * np.arange(-3, 40)
    streets = tuple(float(s) for s in positions if -MARGIN + 20 < s < way + MARGIN - 20)
    blocks = _blocks(rng, streets, way)
    half, beside = half_width(lanes), half_width(lanes) + KERB + walk

    crossings = [_quad(road.strip(s, s + CROSSING, -half, half)) for s in _main_crossings(streets)]
    stops: list[Polygon] = []
    for street in streets:
        before, behind = street - STREET_HALF - 2.0 - CROSSING, street + STREET_HALF + 2.0 + CROSSING
        stops.append(_quad(road.strip(before - STOP_GAP - STOP_DEPTH, before - STOP_GAP, -lanes * LANE, -0.2)))
        stops.append(_quad(road.strip(behind + STOP_GAP, behind + STOP_GAP + STOP_DEPTH, 0.2, lanes * LANE)))
        for sign in (1, -1):
            across = (sign * (half + KERB), sign * beside)
            crossings.append(_quad(road.across(street, (-STREET_HALF, STREET_HALF), across)))
            lane = (-LANE, -0.2) if sign > 0 else (0.2, LANE)
            stop = (sign * (beside + STOP_GAP), sign * (beside + STOP_GAP + STOP_DEPTH))
            stops.append(_quad(road.across(street, lane, stop)))

    parks = [block for block in blocks if block.kind == "park"]
    park_areas = [
        _quad(road.strip(block.start, block.end, *_span(block.side, beside + 1.0, beside + 1.0 + PARK_DEPTH)))
        for block in parks
    ]
    drives = [
        _quad(road.strip(block.start + 9.0, block.start + 14.0, *_span(block.side, half - 0.1, beside + 1.1)))
        for block in parks
    ]
    main = _quad(road.strip(road.s[0], road.s[-1], -half, half))
    crossroads = [_quad(road.across(s, (-STREET_HALF, STREET_HALF), (-STREET_REACH, STREET_REACH))) for s in streets]
    drivable = shapely.union_all([main, *crossroads, *drives])
    walkways = _walkways(road, streets, half, beside, walk).difference(drivable)
    junctions = shapely.union_all([_quad(road.strip(*_gap(s), -half, half)) for s in streets])
    return Layout(
        road=road,
        lanes=lanes,
        walk=walk,
        streets=streets,
        blocks=blocks,
        corner=corner,
        side=side,
        areas={
            "drivable_area": _polygons(drivable),
            "ped_crossing": crossings,
            "walkway": _polygons(walkways),
            "stop_line": stops,
            "carpark_area": park_areas,
        },
        road_dividers=_lines(LineString(road.line(road.s[0], road.s[-1], 0.0)), junctions)
        + [line for s in streets for line in _street_dividers(road, s, beside)],
        lane_dividers=[
            line
            for sign in (1, -1)
            for lane in range(1, lanes)
            for line in _lines(LineString(road.line(road.s[0], road.s[-1], sign * lane * LANE)), junctions)
        ],
    )


def _main_crossings(streets: tuple[float, ...]) -> list[float]:
    before = [s - STREET_HALF - 2.0 - CROSSING for s in streets]
    behind = [s + STREET_HALF + 2.0 for s in streets]
    return before + behind


def _gap(street: float) -> tuple[float, float]:
    """The stretch of the main road without dividers around a side street: from stop line to stop line."""
    reach = STREET_HALF + 2.0 + CROSSING + STOP_GAP
    return street - reach, street + reach


def _blocks(rng: np.random.Generator, streets: tuple[float, ...], way: float) -> tuple[Block, ...]:
    """Stretches of 26 m on both sides. Where the ego begins there is a car park on one side, a zone on the other."""
    clear = STREET_HALF + 9.0
    starts: list[float] = []
    for low, high in pairwise([-MARGIN, *streets, way + MARGIN]):
        room = high - low - 2 * clear
        count = max(0, int(room // 28.0))
        starts += [low + clear + index * room / count for index in range(count)]
    nearest = min(starts, key=lambda start: abs(start + 14.0 - 12.0))
    park_side = int(rng.choice([-1, 1]))
    blocks = []
    for start in starts:
        for side in (1, -1):
            kind = str(rng.choice(["park", "zone", "plot"], p=[0.4, 0.25, 0.35]))
            if start == nearest:
                kind = "park" if side == park_side else "zone"
            blocks.append(Block(kind, side, start + 1.0, start + 27.0))
    return tuple(blocks)


def _walkways(
    road: Road, streets: tuple[float, ...], half: float, beside: float, walk: float
) -> Polygon | MultiPolygon:
    strips = [_quad(road.strip(road.s[0], road.s[-1], *_span(side, half + KERB, beside))) for side in (1, -1)]
    for street in streets:
        for along in (
            (-STREET_HALF - KERB - walk, -STREET_HALF - KERB),
            (STREET_HALF + KERB, STREET_HALF + KERB + walk),
        ):
            for side in (1, -1):
                strips.append(_quad(road.across(street, along, _span(side, beside, STREET_REACH))))
    return shapely.union_all(strips)


def _street_dividers(road: Road, street: float, beside: float) -> list[LineString]:
    origin, heading = road.at(street, 0.0)
    normal = np.array([-np.sin(heading), np.cos(heading)])
    first = beside + STOP_GAP
    return [
        LineString(np.array([origin + sign * r * normal for r in np.arange(first, STREET_REACH + 0.1, 2.0)]))
        for sign in (1, -1)
    ]


def _span(side: int, near: float, far: float) -> tuple[float, float]:
    return (near, far) if side > 0 else (-far, -near)


def _quad(points: Floats) -> Polygon:
    return Polygon(points)


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0.5]


def _lines(line: LineString, holes: BaseGeometry) -> list[LineString]:
    return [part for part in shapely.get_parts(line.difference(holes)) if part.length > 1.0]
