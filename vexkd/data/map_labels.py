"""Map-segmentation labels from nuScenes' map expansion, in the ego frame.

The devkit's own ``get_map_mask`` shifts every outline by half a cell, erases what lies under another polygon's hole,
and fails on a divider that leaves the patch and returns. So outlines come from the devkit and are drawn here: a cell
belongs to an area when its centre lies inside (exact to 0.06 m); dividers are 1.5 m wide, as wide as the devkit's.
"""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.coords import CoordinateSequence
from shapely.geometry.base import BaseGeometry

from vexkd.classes import MAP_CLASSES
from vexkd.plugins.errors import UserError

EXTENT = 50.0
"""Half side of the square label patch, metres."""
CELLS = 200
CELL = 2 * EXTENT / CELLS
DIVIDER_WIDTH = 1.5

_SUPERSAMPLE = 9
_SHIFT = 4
_DIVIDERS = ("road_divider", "lane_divider")


class MapLabels:
    """Rasterises the map around an ego pose; each location is read on first use and kept.

    Args:
        root: data root that holds ``maps/expansion/<location>.json``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layers: dict[str, dict[str, shapely.STRtree]] = {}

    def path(self, location: str) -> Path:
        """The expansion file of a location."""
        return self.root / "maps" / "expansion" / f"{location}.json"

    def has(self, location: str) -> bool:
        """Whether the location's expansion file exists."""
        return self.path(location).is_file()

    def __call__(self, location: str, ego_to_global: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Labels (6, 200, 200) uint8 of ``MAP_CLASSES``, rows along y from -50 m, columns along x from -50 m.

        Raises:
            UserError: the location's expansion is missing or damaged.
        """
        if location not in self._layers:
            self._layers[location] = load_layers(self.path(location))
        layers = self._layers[location]
        heading = np.arctan2(ego_to_global[1, 0], ego_to_global[0, 0])
        cos, sin = np.cos(heading), np.sin(heading)
        to_ego = np.array([[cos, sin], [-sin, cos]])
        origin = ego_to_global[:2, 3]
        patch = shapely.box(*(origin - EXTENT * np.sqrt(2)), *(origin + EXTENT * np.sqrt(2)))

        labels = np.zeros((len(MAP_CLASSES), CELLS, CELLS), np.uint8)
        canvas = np.zeros((CELLS * _SUPERSAMPLE, CELLS * _SUPERSAMPLE), np.uint8)
        for index, name in enumerate(MAP_CLASSES):
            canvas[:] = 0
            tree = layers[name]
            for shape in tree.geometries[np.sort(tree.query(patch))]:
                _draw(canvas, shape, origin, to_ego)
            labels[index] = canvas[_SUPERSAMPLE // 2 :: _SUPERSAMPLE, _SUPERSAMPLE // 2 :: _SUPERSAMPLE]
        return labels


def load_layers(path: Path) -> dict[str, shapely.STRtree]:
    """Geometry of each map class in a location's expansion file, indexed in space.

    Raises:
        UserError: the file is missing or the devkit cannot read it.
    """
    # The devkit sets matplotlib's global style when its map module is imported; keep the caller's.
    with matplotlib.rc_context():
        from nuscenes.map_expansion.map_api import NuScenesMap

    if not path.is_file():
        raise UserError(f"map expansion {path} is missing; unpack nuScenes' map expansion v1.3 under maps/expansion")
    try:
        nusc_map = NuScenesMap(str(path.parents[2]), path.stem)
        layers: dict[str, list[BaseGeometry]] = {}
        for name in MAP_CLASSES:
            if name == "divider":
                records = [record for layer in _DIVIDERS for record in getattr(nusc_map, layer)]
                layers[name] = [nusc_map.extract_line(record["line_token"]) for record in records]
            elif name == "drivable_area":
                tokens = [token for record in nusc_map.drivable_area for token in record["polygon_tokens"]]
                layers[name] = [nusc_map.extract_polygon(token) for token in tokens]
            else:
                layers[name] = [nusc_map.extract_polygon(record["polygon_token"]) for record in getattr(nusc_map, name)]
    except Exception as error:
        raise UserError(f"map expansion {path} cannot be read: {type(error).__name__} {error}") from error
    return {name: shapely.STRtree([shape for shape in shapes if not shape.is_empty]) for name, shapes in layers.items()}


def _draw(
    canvas: NDArray[np.uint8],
    shape: BaseGeometry,
    origin: NDArray[np.float64],
    to_ego: NDArray[np.float64],
) -> None:
    def pixels(coordinates: CoordinateSequence) -> NDArray[np.int32]:
        ego = (np.asarray(coordinates)[:, :2] - origin) @ to_ego.T
        subpixels = (ego + EXTENT) * (_SUPERSAMPLE / CELL) - 0.5
        return np.asarray(np.rint(subpixels * (1 << _SHIFT)), np.int32)

    if shape.geom_type == "LineString":
        thickness = round(DIVIDER_WIDTH / CELL * _SUPERSAMPLE)
        cv2.polylines(canvas, [pixels(shape.coords)], False, (1,), thickness, shift=_SHIFT)
    else:
        rings = [shape.exterior, *shape.interiors]
        cv2.fillPoly(canvas, [pixels(ring.coords) for ring in rings], (1,), shift=_SHIFT)
