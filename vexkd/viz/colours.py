"""One colour per class, the same in every picture (RGB, 0..255)."""

Colour = tuple[int, int, int]

BOX_COLOURS: dict[str, Colour] = {
    "car": (255, 158, 0),
    "truck": (255, 99, 71),
    "construction_vehicle": (205, 180, 130),
    "bus": (0, 200, 190),
    "trailer": (190, 110, 30),
    "barrier": (148, 163, 184),
    "motorcycle": (255, 140, 200),
    "bicycle": (185, 95, 255),
    "pedestrian": (64, 148, 255),
    "traffic_cone": (250, 230, 70),
}

MAP_COLOURS: dict[str, Colour] = {
    "drivable_area": (80, 140, 190),
    "ped_crossing": (251, 154, 153),
    "walkway": (110, 190, 110),
    "stop_line": (255, 230, 60),
    "carpark_area": (255, 127, 0),
    "divider": (245, 245, 245),
}

TRUTH_COLOUR: Colour = (30, 120, 60)
OUTLINE_COLOUR: Colour = (40, 200, 110)
"""Outlines of annotated boxes over heat maps, whose dark, purple and yellow it stays clear of."""
BACKGROUND: Colour = (18, 21, 28)
INK: Colour = (226, 230, 238)
