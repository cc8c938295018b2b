"""Random augmentation of a training sample: the scene as a whole, and the images.

The scene transform is applied to everything that lies in the ego frame: points, boxes, the cameras' poses and the map
labels, so that every modality still agrees with the targets. ``camera_to_ego`` and ``ego_to_global`` then hold scale
and reflection beside the rotation, which all their users here are content with.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import MAP_UNKNOWN
from vexkd.config import AugmentConfig
from vexkd.data.sample import Sample
from vexkd.geometry import HEIGHT, LENGTH, WIDTH, transform_boxes, transform_points

MAP_HALF = 50.0
"""The map labels span +-50 m in both axes."""

Matrix = NDArray[np.float64]


def scene_transform(config: AugmentConfig, rng: np.random.Generator) -> Matrix:
    """Draw a (4, 4) float64 matrix: mirror, then rotate about z, then scale, then translate, all in the ego frame."""
    mirror = np.where([config.flip_x and rng.random() < 0.5, config.flip_y and rng.random() < 0.5, False], -1.0, 1.0)
    angle = rng.uniform(-config.rotate, config.rotate)
    scale = rng.uniform(*config.scale)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    matrix[:3, :3] = scale * np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.diag(mirror)
    matrix[:3, 3] = rng.normal(0.0, config.translate, 3) if config.translate else 0.0
    return matrix


def mirrors(config: AugmentConfig) -> list[Matrix]:
    """Every scene transform (4, 4) that mirroring alone can draw, the identity first."""
    return [
        np.diag([x, y, 1.0, 1.0])
        for x in ((1.0, -1.0) if config.flip_x else (1.0,))
        for y in ((1.0, -1.0) if config.flip_y else (1.0,))
    ]


def view_name(token: str, matrix: Matrix) -> str:
    """Names a keyframe as a mirroring transform shows it: the token, with the mirrored axes behind it."""
    axes = "".join(name for name, sign in zip("xy", (matrix[0, 0], matrix[1, 1]), strict=True) if sign < 0)
    return f"{token}-{axes}" if axes else token


def transform_scene(sample: Sample, matrix: Matrix) -> Sample:
    """Apply a scene transform (4, 4) of rotation about z, uniform scale, mirroring and translation to a sample."""
    scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
    boxes = transform_boxes(sample.boxes, matrix)
    boxes[:, [LENGTH, WIDTH, HEIGHT]] *= scale
    return replace(
        sample,
        points=transform_points(sample.points, matrix).astype(np.float32),
        boxes=boxes.astype(np.float32),
        camera_to_ego=matrix @ sample.camera_to_ego,
        ego_to_global=sample.ego_to_global @ np.linalg.inv(matrix),
        map_labels=None if sample.map_labels is None else transform_map(sample.map_labels, matrix),
    )


def transform_map(labels: NDArray[np.uint8], matrix: Matrix) -> NDArray[np.uint8]:
    """Move map labels (6, H, W) over +-50 m by a scene transform: each cell takes the label its centre came from.

    Cells from outside the square get ``MAP_UNKNOWN`` in every class.
    """
    height, width = labels.shape[1:]
    step = np.array([2 * MAP_HALF / width, 2 * MAP_HALF / height])
    x, y = np.meshgrid((np.arange(width) + 0.5) * step[0] - MAP_HALF, (np.arange(height) + 0.5) * step[1] - MAP_HALF)
    inverse = np.linalg.inv(matrix[:2, :2])
    source = (np.stack([x, y], axis=-1) - matrix[:2, 3]) @ inverse.T
    column, row = np.moveaxis(np.floor((source + MAP_HALF) / step).astype(np.int64), -1, 0)
    known = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    moved = np.full_like(labels, MAP_UNKNOWN)
    moved[:, known] = labels[:, row[known], column[known]]
    return moved


class ImageChange(NamedTuple):
    """Augmentation of one camera's image: scale relative to the model's own resize, rotation in radians."""

    scale: float
    angle: float

    def matrix(self, size: tuple[int, int]) -> Matrix:
        """The (3, 3) float64 map from pixels of the prepared image (height, width) to those of the augmented one.

        Scaled about the middle of the bottom edge, which keeps the ground in view, then rotated about the centre.
        """
        height, width = size
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        bottom = _about((width - 1) / 2, height - 0.5, np.diag([self.scale, self.scale, 1.0]))
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        return _about((width - 1) / 2, (height - 1) / 2, turn) @ bottom


def draw_image_change(config: AugmentConfig, rng: np.random.Generator) -> ImageChange:
    """Draw the augmentation of one image."""
    limit = np.deg2rad(config.image_rotate)
    return ImageChange(rng.uniform(*config.image_resize), rng.uniform(-limit, limit))


def changes_scene(config: AugmentConfig) -> bool:
    """Whether any scene augmentation is switched on."""
    return bool(config.rotate or config.translate or config.flip_x or config.flip_y) or config.scale != (1.0, 1.0)


def changes_images(config: AugmentConfig) -> bool:
    """Whether any image augmentation is switched on."""
    return bool(config.image_rotate) or config.image_resize != (1.0, 1.0)


def _about(x: float, y: float, matrix: Matrix) -> Matrix:
    shift = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
    return shift @ matrix @ np.linalg.inv(shift)
