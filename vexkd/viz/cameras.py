"""Boxes drawn on camera images."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vexkd.geometry import box_corners
from vexkd.viz.colours import Colour

EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
FRONT = ((0, 7), (3, 4))
"""Two diagonals that cross on the front face, so that a picture shows the heading."""
NEAR = 0.1
"""Metres: what is nearer to the image plane is clipped away."""


def project(points: NDArray[np.floating], intrinsics: NDArray[np.floating]) -> NDArray[np.floating]:
    """Pixels (..., 2) of camera-frame points (..., 3) with z > 0."""
    image = points @ intrinsics.T
    return image[..., :2] / image[..., 2:3]


def draw_boxes(
    image: Image.Image,
    boxes: NDArray[np.floating],
    colours: list[Colour],
    intrinsics: NDArray[np.floating],
    camera_to_ego: NDArray[np.floating],
    width: int = 3,
) -> None:
    """Draw boxes (M, 9) of the ego frame as wireframes onto an image whose pixels ``intrinsics`` (3, 3) describe."""
    if not len(boxes):
        return
    ego_to_camera = np.linalg.inv(camera_to_ego)
    corners = box_corners(np.asarray(boxes, dtype=np.float64)) @ ego_to_camera[:3, :3].T + ego_to_camera[:3, 3]
    canvas = ImageDraw.Draw(image)
    frame = np.array([-image.width, -image.height, 2 * image.width, 2 * image.height])
    for index in np.argsort(-corners[..., 2].mean(axis=1)):  # far boxes first, near ones over them
        if not _in_view(corners[index], intrinsics, image.size):
            continue
        for start, end in EDGES + FRONT:
            segment = _clip_near(corners[index, start], corners[index, end])
            if segment is None:
                continue
            pixels = np.clip(project(segment, intrinsics), -1e5, 1e5).reshape(4)
            if (np.maximum(pixels[:2], pixels[2:]) >= frame[:2]).all() and (
                np.minimum(pixels[:2], pixels[2:]) <= frame[2:]
            ).all():
                canvas.line(tuple(pixels.tolist()), fill=colours[index], width=width)


def _in_view(corners: NDArray[np.floating], intrinsics: NDArray[np.floating], size: tuple[int, int]) -> bool:
    """Whether any corner (8, 3) in front of the camera falls onto the image (width, height)."""
    front = corners[corners[:, 2] > NEAR]
    if not len(front):
        return False
    pixels = project(front, intrinsics)
    return bool(((pixels >= 0) & (pixels < size)).all(axis=1).any())


def _clip_near(start: NDArray[np.floating], end: NDArray[np.floating]) -> NDArray[np.floating] | None:
    """The part (2, 3) of a segment in front of the near plane, or None."""
    if start[2] < NEAR and end[2] < NEAR:
        return None
    if start[2] < NEAR:
        start = start + (end - start) * (NEAR - start[2]) / (end[2] - start[2])
    elif end[2] < NEAR:
        end = end + (start - end) * (NEAR - end[2]) / (start[2] - end[2])
    return np.stack([start, end])
