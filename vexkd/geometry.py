"""Frames, grids and boxes: the one place in Python that owns these conventions.

Frame: ego at the LiDAR timestamp, x forward, y left, z up, metres.
BEV arrays: (C, H, W), H along y, W along x; cell = iy * W + ix with ix = floor((x - x_min) / cell).
Boxes: (M, 9) columns x, y, z, length, width, height, yaw, vx, vy; z of the centre, yaw counter-clockwise from +x
in (-pi, pi], velocity in m/s in the same frame, NaN where unknown.
Points: (N, 5) columns x, y, z, intensity in 0..1, age in seconds (>= 0).
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

X, Y, Z, LENGTH, WIDTH, HEIGHT, YAW, VX, VY = range(9)
BOX_SIZE = 9
POINT_SIZE = 5

Floats = NDArray[np.floating]


class BevGrid(BaseModel):
    """A bird's-eye-view grid: ranges in metres and the side of its square cells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: tuple[float, float] = (-51.2, 51.2)
    y: tuple[float, float] = (-51.2, 51.2)
    z: tuple[float, float] = (-3.0, 5.0)
    """Points between these heights count. The road is near 0 in ego; recipes that give -5..3 measure from the LiDAR."""
    cell: float = Field(default=0.8, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "BevGrid":
        for name, (low, high) in (("x", self.x), ("y", self.y), ("z", self.z)):
            if not low < high:
                raise ValueError(f"grid.{name} must be [low, high] with low < high, got [{low}, {high}]")
        for name, (low, high) in (("x", self.x), ("y", self.y)):
            cells = (high - low) / self.cell
            if abs(cells - round(cells)) > 1e-3:
                raise ValueError(f"grid.{name} spans {cells:.4f} cells of {self.cell} m; it must be a whole number")
        return self

    @property
    def width(self) -> int:
        """Number of cells along x."""
        return round((self.x[1] - self.x[0]) / self.cell)

    @property
    def height(self) -> int:
        """Number of cells along y."""
        return round((self.y[1] - self.y[0]) / self.cell)

    @property
    def range(self) -> tuple[float, float, float, float, float, float]:
        """(x_min, y_min, z_min, x_max, y_max, z_max) in metres, as the operators take it."""
        return (self.x[0], self.y[0], self.z[0], self.x[1], self.y[1], self.z[1])

    def with_cell(self, cell: float) -> "BevGrid":
        """The same range with cells of another size."""
        return BevGrid(x=self.x, y=self.y, z=self.z, cell=cell)

    def with_z(self, z: tuple[float, float]) -> "BevGrid":
        """The same cells between other heights."""
        return BevGrid(x=self.x, y=self.y, z=z, cell=self.cell)


def wrap_angle(angle: Floats) -> Floats:
    """Wrap angles in radians into (-pi, pi]."""
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


def box_corners(boxes: Floats) -> Floats:
    """Corners of boxes (M, 9) as (M, 8, 3): four of the bottom counter-clockwise from front-left, then the top."""
    signs = np.array(
        [[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [1, -1, -1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]]
    )
    local = signs[None] * boxes[:, None, [LENGTH, WIDTH, HEIGHT]] / 2
    cos, sin = np.cos(boxes[:, YAW])[:, None], np.sin(boxes[:, YAW])[:, None]
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    return np.stack([x, y, local[..., 2]], axis=-1) + boxes[:, None, :3]


def transform_points(points: Floats, matrix: Floats) -> Floats:
    """Move the first three columns of points (N, >=3) by a rigid 4x4 matrix; other columns are kept."""
    moved = np.array(points, copy=True)
    moved[:, :3] = points[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def transform_boxes(boxes: Floats, matrix: Floats) -> Floats:
    """Move boxes (M, 9) by a rigid 4x4 matrix whose tilt is small: yaw is the heading of the rotated x axis."""
    moved = transform_points(boxes, matrix)
    heading = np.stack([np.cos(boxes[:, YAW]), np.sin(boxes[:, YAW])], axis=1) @ matrix[:2, :2].T
    moved[:, YAW] = wrap_angle(np.arctan2(heading[:, 1], heading[:, 0]))
    moved[:, [VX, VY]] = boxes[:, [VX, VY]] @ matrix[:2, :2].T
    return moved
