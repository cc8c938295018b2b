"""Who is in a scene: traffic in its lanes, cars waiting, parked and working vehicles, people, and scenery.

Each lane keeps one speed, so that nobody drives into anybody. Scenery (buildings, trees, lamp posts) is seen by the
sensors and never annotated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.layout import (
    KERB,
    LANE,
    MARGIN,
    PARK_DEPTH,
    STOP_DEPTH,
    STOP_GAP,
    STREET_HALF,
    ZONE_DEPTH,
    Block,
    Layout,
)
from vexkd.data.synth.motion import Ego, Motion, Track
from vexkd.data.synth.objects import Part, Style, build, draw_size

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Actor:
    """An object or a piece of scenery.

    Attributes:
        name: detection class, None for scenery.
        size: length, width, height of its box on the ground, metres.
        parts: its cuboids.
        track: where it is over time.
        attribute: nuScenes attribute, empty where the class has none.
    """

    name: str | None
    size: tuple[float, float, float]
    parts: list[Part]
    track: Track
    attribute: str = ""


def populate(rng: np.random.Generator, layout: Layout, ego: Ego, duration: float) -> list[Actor]:
    """All actors of a scene whose ego drives for ``duration`` seconds."""
    way = ego.motion.distance(duration)
    actors = _traffic(rng, layout, ego, duration)
    actors += _waiting(rng, layout)
    actors += _cyclists(rng, layout, way)
    actors += _walkers(rng, layout, way)
    for block in layout.blocks:
        if block.kind == "park":
            actors += _car_park(rng, layout, block)
        elif block.kind == "zone":
            actors += _work_zone(rng, layout, block)
        actors += _scenery(rng, layout, block)
    return actors + _lamps(layout)


def _moving(rng: np.random.Generator, name: str, track: Track, size: tuple[float, float, float]) -> Actor:
    rider = name in ("motorcycle", "bicycle")
    attribute = {"pedestrian": "pedestrian.moving"}.get(name, "cycle.with_rider" if rider else "vehicle.moving")
    return Actor(name, size, build(rng, name, size, rider=rider), track, attribute)


def _standing(
    rng: np.random.Generator,
    name: str,
    xy: Floats,
    heading: float,
    attribute: str = "",
    worker: bool = False,
) -> Actor:
    size = draw_size(rng, name)
    if not attribute:
        attribute = {
            "pedestrian": "pedestrian.standing",
            "motorcycle": "cycle.without_rider",
            "bicycle": "cycle.without_rider",
            "barrier": "",
            "traffic_cone": "",
        }.get(name, "vehicle.parked")
    track = Track(pose=(float(xy[0]), float(xy[1]), float(heading)))
    return Actor(name, size, build(rng, name, size, worker=worker), track, attribute)


def _on_road(
    rng: np.random.Generator, layout: Layout, name: str, s: float, d: float, turn: float, worker: bool = False
) -> Actor:
    """A standing object at road coordinates, turned by ``turn`` against the road."""
    xy, heading = layout.road.at(s, d)
    return _standing(rng, name, xy, float(heading) + turn, worker=worker)


def _traffic(rng: np.random.Generator, layout: Layout, ego: Ego, duration: float) -> list[Actor]:
    actors = []
    names = ["car", "truck", "truck+trailer", "bus", "motorcycle"]
    for direction in (1, -1):
        for lane in range(layout.lanes):
            d = -direction * (lane + 0.5) * LANE
            own = direction > 0 and d == ego.d
            motion = ego.motion if own else Motion(float(rng.uniform(4.0, 9.0)))
            relative = (direction * motion.speed - ego.motion.speed) * duration
            s = -MARGIN - max(0.0, relative)
            while s < MARGIN + max(0.0, -relative):
                # Nothing tall starts close to the ego: it would hide the scene, for long if it goes the same way.
                low = abs(s) < (35.0 if direction > 0 else 18.0)
                name = str(rng.choice(names, p=[0.8, 0, 0, 0, 0.2] if low else [0.58, 0.12, 0.1, 0.08, 0.12]))
                convoy = ["truck", "trailer"] if name == "truck+trailer" else [name]
                sizes = [draw_size(rng, part, rider=part == "motorcycle") for part in convoy]
                length = sum(size[0] for size in sizes) + 0.6 * (len(sizes) - 1)
                if own and s < 9.0 and s + length > -9.0:
                    s = 10.0 + rng.uniform(0.0, 10.0)
                # The convoy's first vehicle drives ahead, which is towards larger s only when direction > 0.
                front = s + length if direction > 0 else s
                for part, size in zip(convoy, sizes, strict=True):
                    middle = front - direction * size[0] / 2
                    actors.append(_moving(rng, part, Track(middle, d, direction, motion), size))
                    front -= direction * (size[0] + 0.6)
                s += length + rng.uniform(9.0, 38.0)
    return actors


def _waiting(rng: np.random.Generator, layout: Layout) -> list[Actor]:
    """Cars that queue at the stop lines of the side streets."""
    actors = []
    for street in layout.streets:
        origin, heading = layout.road.at(street, 0.0)
        tangent = np.array([np.cos(heading), np.sin(heading)])
        normal = np.array([-tangent[1], tangent[0]])
        for sign in (1, -1):
            reach = layout.beside + STOP_GAP + STOP_DEPTH + rng.uniform(0.4, 1.5)
            for _ in range(int(rng.integers(0, 4))):
                name = str(rng.choice(["car", "truck", "motorcycle"], p=[0.8, 0.12, 0.08]))
                actor = _standing(
                    rng, name, np.zeros(2), float(heading) - sign * np.pi / 2,
                    "cycle.with_rider" if name == "motorcycle" else "vehicle.stopped",
                )  # fmt: skip
                if name == "motorcycle":
                    size = draw_size(rng, name, rider=True)
                    actor = Actor(name, size, build(rng, name, size, rider=True), actor.track, actor.attribute)
                xy = origin - sign * LANE / 2 * tangent + sign * (reach + actor.size[0] / 2) * normal
                track = Track(pose=(float(xy[0]), float(xy[1]), actor.track.pose[2]))
                actors.append(Actor(actor.name, actor.size, actor.parts, track, actor.attribute))
                reach += actor.size[0] + rng.uniform(1.0, 2.5)
    return actors


def _cyclists(rng: np.random.Generator, layout: Layout, way: float) -> list[Actor]:
    """Bicycles on the shoulder, one speed on each side, and cycles left at the walkway's outer edge."""
    actors = []
    for direction in (1, -1):
        d = -direction * (layout.half - 0.75)
        motion = Motion(float(rng.uniform(3.5, 5.5)))
        s = -MARGIN + rng.uniform(0.0, 20.0)
        while s < way + MARGIN:
            size = draw_size(rng, "bicycle", rider=True)
            actors.append(_moving(rng, "bicycle", Track(s, d, direction, motion), size))
            s += rng.uniform(14.0, 40.0)
        s = -MARGIN + rng.uniform(0.0, 30.0)
        while s < way + MARGIN:
            if _clear(layout, s):
                name = str(rng.choice(["bicycle", "motorcycle"]))
                turn = rng.choice([-1, 1]) * np.pi / 2 + rng.uniform(-0.2, 0.2)
                actors.append(_on_road(rng, layout, name, s, direction * (layout.beside - 0.9), turn))
            s += rng.uniform(8.0, 30.0)
    # Whatever the dice say, one of each stands near where the ego begins.
    for name, s in (("bicycle", 6.0), ("motorcycle", 9.0)):
        actors.append(_on_road(rng, layout, name, s, layout.beside - 0.9, np.pi / 2))
    return actors


def _walkers(rng: np.random.Generator, layout: Layout, way: float) -> list[Actor]:
    actors = []
    for side in (1, -1):
        s = -MARGIN + rng.uniform(0.0, 6.0)
        while s < way + MARGIN:
            d = side * (layout.half + KERB + rng.uniform(0.4, layout.walk - 1.7))
            if rng.random() < 0.25 and _clear(layout, s):
                actors.append(_on_road(rng, layout, "pedestrian", s, d, rng.uniform(-np.pi, np.pi)))
            else:
                motion = Motion(float(rng.uniform(0.9, 1.7)))
                track = Track(s, d, int(rng.choice([-1, 1])), motion)
                actors.append(_moving(rng, "pedestrian", track, draw_size(rng, "pedestrian")))
            s += rng.uniform(2.0, 16.0)
    return actors


def _car_park(rng: np.random.Generator, layout: Layout, block: Block) -> list[Actor]:
    """A near row of slots across the road's direction, a far row for long vehicles along it."""
    actors = []
    near = layout.beside + 1.0
    for s in park_slots(block):
        if rng.random() < 0.65:
            name = "car" if rng.random() < 0.88 else "motorcycle"
            turn = float(rng.choice([-1, 1])) * np.pi / 2 + rng.uniform(-0.05, 0.05)
            actors.append(_on_road(rng, layout, name, s, block.side * (near + 2.8), turn))
    s = block.start + 1.0
    for name in rng.permutation(["bus", "truck", "car"]):
        turn = float(rng.choice([0.0, np.pi])) + rng.uniform(-0.03, 0.03)
        actor = _on_road(rng, layout, str(name), s, block.side * (near + PARK_DEPTH - 2.2), turn)
        length = actor.size[0]
        xy, _ = layout.road.at(s + length / 2, block.side * (near + PARK_DEPTH - 2.2))
        track = Track(pose=(float(xy[0]), float(xy[1]), actor.track.pose[2]))
        actors.append(Actor(actor.name, actor.size, actor.parts, track, actor.attribute))
        s += length + 0.9
    for _ in range(int(rng.integers(0, 3))):
        s, d = rng.uniform(block.start + 2, block.end - 2), block.side * (near + rng.uniform(7.0, 11.0))
        actors.append(_on_road(rng, layout, "pedestrian", s, d, rng.uniform(-np.pi, np.pi)))
    return actors


def park_slots(block: Block) -> list[float]:
    """Middles (s) of a car park's slots; the driveway stays free."""
    middles = block.start + 0.6 + 1.4 + 2.8 * np.arange(9)
    return [float(s) for s in middles if s + 1.4 < block.end and not block.start + 7.5 < s < block.start + 15.5]


def _work_zone(rng: np.random.Generator, layout: Layout, block: Block) -> list[Actor]:
    """A digger and a trailer behind barriers and cones, with workers."""
    near = layout.beside + 1.3
    side = block.side
    middle = (block.start + block.end) / 2
    barriers = int(rng.integers(3, 6))
    actors = []
    for index in range(barriers):
        actors.append(_on_road(rng, layout, "barrier", block.start + 1.5 + 2.75 * index, side * near, np.pi / 2))
    s = block.start + 1.5 + 2.75 * barriers + 0.5
    while s < block.end:
        actors.append(_on_road(rng, layout, "traffic_cone", s, side * (near + rng.uniform(-0.2, 0.2)), 0.0))
        s += rng.uniform(1.6, 2.6)
    for depth in np.arange(2.0, ZONE_DEPTH, 2.5):
        end = block.end if rng.random() < 0.5 else block.start
        actors.append(_on_road(rng, layout, "traffic_cone", end, side * (near + depth), 0.0))
    turn = rng.uniform(-np.pi, np.pi)
    actors.append(_on_road(rng, layout, "construction_vehicle", middle - 5.0, side * (near + 4.3), turn))
    actors.append(_on_road(rng, layout, "trailer", middle + 6.5, side * (near + 6.5), float(rng.choice([0.0, np.pi]))))
    for _ in range(int(rng.integers(1, 4))):
        s = rng.uniform(block.start + 1.0, block.end - 1.0)
        actors.append(
            _on_road(rng, layout, "pedestrian", s, side * (near + 1.5), rng.uniform(-np.pi, np.pi), worker=True)
        )
    return actors


def _scenery(rng: np.random.Generator, layout: Layout, block: Block) -> list[Actor]:
    """A building, and on a plot trees before it."""
    depth = {"park": PARK_DEPTH, "zone": ZONE_DEPTH, "plot": 4.0}[block.kind]
    length, width, height = (float(rng.uniform(*span)) for span in ((12.0, 22.0), (8.0, 12.0), (5.0, 16.0)))
    tint = rng.uniform(110, 200) * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.0)])
    wall = Part(
        (-length / 2, -width / 2, 0.0), (length / 2, width / 2, height), Style.WALL,
        (int(tint[0]), int(tint[1]), int(tint[2])),
    )  # fmt: skip
    xy, heading = layout.road.at((block.start + block.end) / 2, block.side * (layout.beside + depth + 3.0 + width / 2))
    actors = [Actor(None, (length, width, height), [wall], Track(pose=(float(xy[0]), float(xy[1]), float(heading))))]
    if block.kind == "plot":
        for s in np.arange(block.start + 2.0, block.end, 8.0):
            actors.append(_tree(rng, layout, float(s), block.side * (layout.beside + rng.uniform(1.5, 2.5))))
    return actors


def _tree(rng: np.random.Generator, layout: Layout, s: float, d: float) -> Actor:
    height, spread = float(rng.uniform(4.0, 7.0)), float(rng.uniform(1.8, 3.0))
    parts = [
        Part((-0.15, -0.15, 0.0), (0.15, 0.15, height * 0.5), Style.PLAIN, (90, 65, 45)),
        Part((-spread / 2, -spread / 2, height * 0.42), (spread / 2, spread / 2, height), Style.CROWN, (60, 105, 45)),
    ]
    xy, _ = layout.road.at(s, d)
    track = Track(pose=(float(xy[0]), float(xy[1]), float(rng.uniform(-np.pi, np.pi))))
    return Actor(None, (spread, spread, height), parts, track)


def _lamps(layout: Layout) -> list[Actor]:
    actors = []
    post = [Part((-0.08, -0.08, 0.0), (0.08, 0.08, 7.0), Style.PLAIN, (120, 122, 125))]
    for s in np.arange(layout.road.s[0] + 5.0, layout.road.s[-1], 30.0):
        for side in (1, -1):
            if _clear(layout, float(s)):
                xy, heading = layout.road.at(s, side * (layout.half + KERB / 2))
                track = Track(pose=(float(xy[0]), float(xy[1]), float(heading)))
                actors.append(Actor(None, (0.16, 0.16, 7.0), post, track))
    return actors


def _clear(layout: Layout, s: float) -> bool:
    """Whether s lies off the side streets, their walkways and the driveways."""
    off_streets = all(abs(s - street) > STREET_HALF + KERB + layout.walk + 1.0 for street in layout.streets)
    return off_streets and not any(
        block.kind == "park" and block.start + 7.5 < s < block.start + 15.5 for block in layout.blocks
    )
