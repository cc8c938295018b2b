"""One colour per class, the same in every picture (RGB, 0..255)."""

Colour = tuple[int, int, int]

BOX_COLOURS: dict[str, Colour] = {
    "car": (255, 158, 0),
    "truck": (255, 99, 71),
    "construction_vehicle": (233, 150, 70),
    "bus": (255, 69, 120),
    "trailer": (190, 110, 30),
    "barrier": (148, 163, 184),
    "motorcycle": (255, 61, 99),
    "bicycle": (220, 60, 200),
    "pedestrian": (64, 148, 255),
    "traffic_cone": (250, 230, 70),
}

MAP_COLOURS: dict[str, Colour] = {
    "drivable_area": (166, 206, 227),
    "ped_crossing": (251, 154, 153),
    "walkway": (227, 120, 120),
    "stop_line": (253, 191, 111),
    "carpark_area": (255, 127, 0),
    "divider": (106, 61, 154),
}

TRUTH_COLOUR: Colour = (30, 120, 60)
BACKGROUND: Colour = (18, 21, 28)
INK: Colour = (226, 230, 238)
