"""Camera geometry: raw pixels to prepared pixels to rays in ego, and the frustum's points sorted by BEV cell."""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import FrustumShape, KernelError, call, cpu_workspace, dense, make_grid, pointer

MAX_SIDE = 2**15
"""Pixels of an image's side, at most."""


def image_transform(raw_size: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Matrix (3, 3) that maps a raw pixel (u, v, 1) to the prepared image of a camera.

    Scale s = max(w / W, h / H), resize to (round(H * s), round(W * s)), then crop to ``image_size``: horizontally
    centred, vertically keeping the bottom. Pixel i covers [i, i + 1) and its centre has the coordinate i, so that
    prepared + 0.5 = (raw + 0.5) * scale - crop, with the scale of the resize as it was rounded.

    Args:
        raw_size: (H, W) of the camera's image in pixels.
        image_size: (h, w) of the prepared image in pixels.

    Raises:
        ValueError: a side is not from 1 to 32768.

    """
    if not all(1 <= side <= MAX_SIDE for side in (*raw_size, *image_size)):
        raise ValueError(f"image sides must be 1 to {MAX_SIDE} pixels, got {raw_size} and {image_size}")
    sizes, transform = np.array([raw_size, image_size], np.int32), np.empty((3, 3))
    call("image_transform", pointer(sizes[0]), pointer(sizes[1]), pointer(transform))
    return transform


def camera_rays(
    intrinsics: NDArray[np.floating], camera_to_ego: NDArray[np.floating], image_transforms: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays of the prepared pixels in ego: a point at depth d on pixel (u, v) is rays @ (u, v, 1) * d + origin.

    Args:
        intrinsics: (V, 3, 3) of the raw images.
        camera_to_ego: (V, 4, 4), metres; a pose, which augmentation may have mirrored and scaled.
        image_transforms: (V, 3, 3) from raw to prepared pixels.

    Returns:
        rays (V, 3, 3) float32 and origins (V, 3) float32; composed in float64, rounded once.

    Raises:
        ValueError: a wrong shape, a matrix that is singular or not finite, or a camera_to_ego that is no pose.

    """
    given = (intrinsics, camera_to_ego, image_transforms)
    matrices = _Calibration(*(np.ascontiguousarray(matrix, np.float64) for matrix in given))
    views = len(matrices.intrinsics)
    for name, value in matrices._asdict().items():
        dense(value, np.float64, (views, *_IDENTITY[name].shape), name)
    try:
        return _compose(*matrices)
    except KernelError as error:
        raise ValueError(_fault(matrices)) from error


def frustum_index(
    rays: NDArray[np.float32],
    origins: NDArray[np.float32],
    depths: NDArray[np.float32],
    feature_size: tuple[int, int],
    stride: int,
    range: Sequence[float],
    cell: Sequence[float],
    batch: int = 1,
    threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Frustum points of all cameras sorted by BEV cell; semantics in include/vexkd/frustum_index.h.

    Args:
        rays: (V, 3, 3) float32 of :func:`camera_rays`; V counts all cameras of the batch.
        origins: (V, 3) float32, metres.
        depths: (D,) float32, metres.
        feature_size: (h, w) of the feature map.
        stride: pixels of the prepared image per feature pixel.
        range: x_min, y_min, z_min, x_max, y_max, z_max in metres.
        cell: cell_x, cell_y in metres.
        batch: samples B; V is a multiple of it.
        threads: 0 for all cores.

    Returns:
        points (V*D*h*w,) int32 flat indices ((v*D + d)*h + y)*w + x sorted by cell, -1 at the end for those outside;
        starts (B*H*W + 1,) int32.

    Raises:
        ValueError: a wrong dtype or shape.
        KernelError: the range is no grid, or V is no multiple of the batch.

    """
    rays = dense(rays, np.float32, (None, 3, 3), "rays")
    origins = dense(origins, np.float32, (len(rays), 3), "origins")
    depths = dense(depths, np.float32, (None,), "depths")
    grid = make_grid(range, cell)
    shape = FrustumShape(batch, len(rays), len(depths), *feature_size, stride)
    points = np.empty(len(rays) * len(depths) * feature_size[0] * feature_size[1], np.int32)
    starts = np.empty(max(batch, 0) * grid.height * grid.width + 1, np.int32)
    inputs = (pointer(rays), pointer(origins), pointer(depths), ctypes.byref(shape), ctypes.byref(grid))
    workspace = cpu_workspace("frustum_index", ctypes.byref(shape), ctypes.byref(grid))
    call("frustum_index_cpu", *inputs, pointer(points), pointer(starts), threads, *workspace)
    return points, starts


class _Calibration(NamedTuple):
    """Matrices (V, ...) of all cameras, float64."""

    intrinsics: NDArray[np.float64]
    camera_to_ego: NDArray[np.float64]
    image_transforms: NDArray[np.float64]


_IDENTITY = {"intrinsics": np.eye(3), "camera_to_ego": np.eye(4), "image_transforms": np.eye(3)}
_EXPECTED = {
    "intrinsics": "finite and not singular",
    "camera_to_ego": "finite, with a last row of 0, 0, 0, 1 and a rotation before it, to 1e-3",
    "image_transforms": "finite and not singular",
}


def _compose(
    intrinsics: NDArray[np.float64], camera_to_ego: NDArray[np.float64], image_transforms: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    views = len(intrinsics)
    rays, origins = np.empty((views, 3, 3), np.float32), np.empty((views, 3), np.float32)
    inputs = (pointer(intrinsics), pointer(camera_to_ego), pointer(image_transforms), views)
    call("camera_rays", *inputs, pointer(rays), pointer(origins))
    return rays, origins


def _fault(matrices: _Calibration) -> str:
    """What the kernel does not like: the first matrix that it refuses beside identities."""
    for name, expected in _EXPECTED.items():
        for view, matrix in enumerate(getattr(matrices, name)):
            alone = {**_IDENTITY, name: matrix}
            try:
                _compose(*(np.ascontiguousarray(each)[None] for each in alone.values()))
            except KernelError:
                return f"{name} of camera {view} must be {expected}, got {matrix.tolist()}"
    return "calibration and image transforms compose to rays beyond the range of float32"
