"""Class names in the order of every label, score column and map channel in this project."""

DETECTION_CLASSES = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)
"""nuScenes' ten detection classes; the order keeps the groups of CenterPoint's heads contiguous."""

MAP_CLASSES = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")
"""BEVFusion's six map-segmentation classes; ``divider`` joins road and lane dividers."""

MAP_UNKNOWN = 255
"""Map label of a cell of which nothing is known: it takes no part in the loss."""

CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
"""The six nuScenes cameras in the order of every (V, ...) array."""
