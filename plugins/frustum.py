"""Camera geometry: raw pixels to prepared pixels to rays in ego, and the frustum's points sorted by BEV cell."""

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.library import FrustumShape, call, cpu_workspace, dense, make_grid, pointer


def image_transform(raw_size: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Matrix (3, 3) that maps a raw pixel (u, v, 1) to the prepared image of a camera.

    Scale s = max(w / W, h / H), resize to (round(H * s), round(W * s)), then crop to ``image_size``: horizontally
    centred, vertically keeping the bottom. Pixel i covers [i, i + 1) and its centre has the coordinate i, so that
    prepared + 0.5 = (raw + 0.5) * scale - crop, with the scale of the resize as it was rounded.

    Args:
        raw_size: (H, W) of the camera's image in pixels.
        image_size: (h, w) of the prepared image in pixels.

    """
    scale = max(image_size[0] / raw_size[0], image_size[1] / raw_size[1])
    resized = [round(size * scale) for size in raw_size]
    scales = [resized[axis] / raw_size[axis] for axis in (0, 1)]
    crops = [resized[0] - image_size[0], (resized[1] - image_size[1]) // 2]
    shifts = [0.5 * scales[axis] - 0.5 - crops[axis] for axis in (0, 1)]
    return np.array([[scales[1], 0.0, shifts[1]], [0.0, scales[0], shifts[0]], [0.0, 0.0, 1.0]])


def camera_rays(
    intrinsics: NDArray[np.floating], camera_to_ego: NDArray[np.floating], image_transforms: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays of the prepared pixels in ego: a point at depth d on pixel (u, v) is rays @ (u, v, 1) * d + origin.

    Args:
        intrinsics: (V, 3, 3) of the raw images.
        camera_to_ego: (V, 4, 4) rigid, metres.
        image_transforms: (V, 3, 3) from raw to prepared pixels.

    Returns:
        rays (V, 3, 3) float32 and origins (V, 3) float32; composed in float64, rounded once.

    Raises:
        ValueError: intrinsics or an image transform cannot be inverted.

    """
    intrinsics, image_transforms = intrinsics.astype(np.float64), image_transforms.astype(np.float64)
    try:
        to_camera = np.linalg.inv(intrinsics) @ np.linalg.inv(image_transforms)
    except np.linalg.LinAlgError as error:
        raise ValueError("intrinsics and image transforms must be invertible, got a singular matrix") from error
    rays = camera_to_ego[:, :3, :3].astype(np.float64) @ to_camera
    return rays.astype(np.float32), camera_to_ego[:, :3, 3].astype(np.float32)


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
