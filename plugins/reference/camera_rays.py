"""Camera geometry in numpy, in the order of additions that include/vexkd/camera_rays.h gives."""

import numpy as np
from numpy.typing import NDArray


def image_transform(raw_size: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Matrix (3, 3) from raw to prepared pixels."""
    scale = max(image_size[0] / raw_size[0], image_size[1] / raw_size[1])
    resized = [round(size * scale) for size in raw_size]
    scales = [resized[axis] / raw_size[axis] for axis in (0, 1)]
    crops = [resized[0] - image_size[0], (resized[1] - image_size[1]) // 2]
    shifts = [0.5 * scales[axis] - 0.5 - crops[axis] for axis in (0, 1)]
    return np.array([[scales[1], 0.0, shifts[1]], [0.0, scales[0], shifts[0]], [0.0, 0.0, 1.0]])


def camera_rays(
    intrinsics: NDArray[np.float64], camera_to_ego: NDArray[np.float64], image_transforms: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays (V, 3, 3) and origins (V, 3)."""
    to_camera = _product(_inverse(intrinsics), _inverse(image_transforms))
    rays = _product(camera_to_ego[:, :3, :3], to_camera)
    return rays.astype(np.float32), camera_to_ego[:, :3, 3].astype(np.float32)


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products (V, 3, 3)."""
    terms = a[:, :, :, None] * b[:, None]
    return (terms[:, :, 0] + terms[:, :, 1]) + terms[:, :, 2]


def _inverse(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjugate / determinant of (V, 3, 3)."""
    down, further = (np.roll(matrices, -steps, axis=1) for steps in (1, 2))
    right, left = (lambda m: np.roll(m, -1, axis=2)), (lambda m: np.roll(m, -2, axis=2))
    cofactors = right(down) * left(further) - left(down) * right(further)
    first = matrices[:, 0] * cofactors[:, 0]
    determinants = (first[:, 0] + first[:, 1]) + first[:, 2]
    inverses: NDArray[np.float64] = cofactors.transpose(0, 2, 1) / determinants[:, None, None]
    return inverses
