"""One keyframe as plain numpy arrays: the contract between data, training, evaluation and drawing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """A keyframe; frames and conventions as in :mod:`vexkd.geometry` (ego at the LiDAR timestamp).

    Attributes:
        token: nuScenes sample token.
        timestamp: LiDAR timestamp in microseconds.
        points: (N, 5) float32, x y z intensity age, keyframe first, then ever older sweeps.
        images: (V, H, W, 3) uint8 RGB in the order of ``vexkd.classes.CAMERAS``; V = 0 when not loaded.
        intrinsics: (V, 3, 3) float64, for the raw images' pixels.
        camera_to_ego: (V, 4, 4) float64, from the camera at its own timestamp to ego at the LiDAR timestamp.
        ego_to_global: (4, 4) float64 at the LiDAR timestamp.
        boxes: (M, 9) float32.
        labels: (M,) int64 into ``vexkd.classes.DETECTION_CLASSES``.
        num_points: (M,) int64 annotated LiDAR points in each box.
        map_labels: (6, 200, 200) uint8 in the order of ``vexkd.classes.MAP_CLASSES``, +-50 m at 0.5 m, or None.
    """

    token: str
    timestamp: int
    points: NDArray[np.float32]
    images: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]
    camera_to_ego: NDArray[np.float64]
    ego_to_global: NDArray[np.float64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_points: NDArray[np.int64]
    map_labels: NDArray[np.uint8] | None
