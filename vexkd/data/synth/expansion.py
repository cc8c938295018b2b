"""The map of a location: nuScenes' map expansion JSON (version 1.3) and its drivable-surface mask."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from shapely.geometry import LineString, Polygon

from vexkd.data.synth.layout import Layout
from vexkd.data.synth.tables import Tokens

LOCATIONS = {
    "boston-seaport": "36092f0b03a857c6a3403e25b4b7aab3",
    "singapore-hollandvillage": "37819e65e09e5547b8a3ceaefba56bb2",
    "singapore-onenorth": "53992ee3023e5494b90c316c183be829",
    "singapore-queenstown": "93406b464a165eaba6d9de76ca09f5da",
}
"""The only map names that the devkit accepts, each with the name of its mask file."""

MASK_RESOLUTION = 0.1
BORDER = 60.0
"""Empty margin around all tiles, so that a view of the map never leaves it, metres."""

_EMPTY_LAYERS = ("road_segment", "road_block", "lane", "lane_connector", "traffic_light")


def canvas_edge(tiles: int, side: float) -> tuple[float, float]:
    """Width and height of a location with so many tiles in a row, metres."""
    return (tiles * side + 2 * BORDER, side + 2 * BORDER)


def tile_corner(tile: int, side: float) -> np.ndarray:
    """Lower left corner (2,) of a tile, metres."""
    return np.array([BORDER + tile * side, BORDER])


def write_expansion(path: Path, location: str, layouts: list[Layout], side: float, tokens: Tokens) -> None:
    """Write ``maps/expansion/<location>.json``; there is no lane graph, its layers are empty."""
    book = _Book(tokens, location)
    for layout in layouts:
        areas = layout.areas
        book.add("drivable_area", polygon_tokens=[book.polygon(shape) for shape in areas["drivable_area"]])
        crossings = [
            book.add("ped_crossing", polygon_token=book.polygon(shape), road_segment_token="")
            for shape in areas["ped_crossing"]
        ]
        for shape in areas["walkway"]:
            book.add("walkway", polygon_token=book.polygon(shape))
        for shape in areas["stop_line"]:
            nearest = int(np.argmin([shape.distance(crossing) for crossing in areas["ped_crossing"]]))
            book.add(
                "stop_line",
                polygon_token=book.polygon(shape),
                stop_line_type="PED_CROSSING",
                ped_crossing_tokens=[crossings[nearest]],
                traffic_light_tokens=[],
                road_block_token="",
            )
        for shape in areas["carpark_area"]:
            book.add("carpark_area", polygon_token=book.polygon(shape), orientation=0.0, road_block_token="")
        for line in layout.road_dividers:
            book.add("road_divider", line_token=book.line(line), road_segment_token="")
        for line in layout.lane_dividers:
            token = book.line(line)
            segments = [
                {"node_token": node, "segment_type": "SINGLE_DASHED_WHITE"}
                for node in book.layers["line"][-1]["node_tokens"]
            ]
            book.add("lane_divider", line_token=token, lane_divider_segments=segments)
    content = {
        "version": "1.3",
        **book.layers,
        **{layer: [] for layer in _EMPTY_LAYERS},
        "arcline_path_3": {},
        "connectivity": {},
        "canvas_edge": list(canvas_edge(len(layouts), side)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_mask(path: Path, layouts: list[Layout], side: float) -> None:
    """Write the mask of drivable surface and walkways: 255 or 0, 0.1 m per pixel, the first row at the largest y."""
    width, height = canvas_edge(len(layouts), side)
    mask = np.zeros((round(height / MASK_RESOLUTION), round(width / MASK_RESOLUTION)), np.uint8)
    for layout in layouts:
        for layer in ("drivable_area", "walkway", "carpark_area"):
            for shape in layout.areas[layer]:
                rings = [shape.exterior, *shape.interiors]
                texels = [np.rint(np.asarray(ring.coords) / MASK_RESOLUTION).astype(np.int32) for ring in rings]
                cv2.fillPoly(mask, texels, (255,))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(mask[::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 3])


class _Book:
    """Collects the records of one location."""

    def __init__(self, tokens: Tokens, location: str) -> None:
        self.tokens = tokens
        self.location = location
        layers = (
            "polygon", "line", "node", "drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area",
            "road_divider", "lane_divider",
        )  # fmt: skip
        self.layers: dict[str, list[dict[str, Any]]] = {layer: [] for layer in layers}

    def add(self, layer: str, **values: Any) -> str:
        """Append a record and return its token."""
        token = self.tokens(self.location, layer, len(self.layers[layer]))
        self.layers[layer].append({"token": token, **values})
        return token

    def polygon(self, shape: Polygon) -> str:
        """Append a polygon with its nodes."""
        holes = [{"node_tokens": self._nodes(ring.coords[:-1])} for ring in shape.interiors]
        return self.add("polygon", exterior_node_tokens=self._nodes(shape.exterior.coords[:-1]), holes=holes)

    def line(self, shape: LineString) -> str:
        """Append a line with its nodes."""
        return self.add("line", node_tokens=self._nodes(shape.coords))

    def _nodes(self, coordinates: Any) -> list[str]:
        return [self.add("node", x=round(float(x), 3), y=round(float(y), 3)) for x, y in coordinates]
