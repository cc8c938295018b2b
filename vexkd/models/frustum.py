"""From calibration to the frustum inputs of a model; numpy only, so that data workers and tools need no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.config import CameraConfig, ModelConfig
from vexkd.plugins.frustum import camera_rays, frustum_index, image_transform


def frustum_geometry(config: CameraConfig) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Depth bins (D,) float32 in metres along the optical axis and the feature map's size (h, w)."""
    first, end, step = config.depth
    depths = first + step * np.arange(round((end - first) / step))
    height, width = config.image_size
    return depths.astype(np.float32), (height // config.stride, width // config.stride)


def frustum_inputs(
    config: ModelConfig,
    intrinsics: NDArray[np.float64],
    camera_to_ego: NDArray[np.float64],
    raw_size: tuple[int, int],
    image_transforms: NDArray[np.floating[Any]] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sorted frustum points and row pointers of a batch, as :class:`vexkd.models.inputs.Inputs` takes them.

    Args:
        config: model with a camera branch.
        intrinsics: (B, V, 3, 3) for the raw images' pixels.
        camera_to_ego: (B, V, 4, 4); with augmentation of the scene already applied.
        raw_size: (height, width) of the raw images.
        image_transforms: (B, V, 3, 3) from raw to prepared pixels, by default the model's own resize and crop.

    Returns:
        points (B*V*D*h*w,) int32, -1 at and beyond starts[-1], and starts (B*H*W+1,) int32.
    """
    if config.camera is None:
        raise ValueError("frustum_inputs needs a model with a camera branch")
    batch, cameras = intrinsics.shape[:2]
    if image_transforms is None:
        fixed = image_transform(raw_size, config.camera.image_size)
        image_transforms = np.broadcast_to(fixed, (batch, cameras, 3, 3))
    rays, origins = camera_rays(
        intrinsics.reshape(-1, 3, 3), camera_to_ego.reshape(-1, 4, 4), image_transforms.reshape(-1, 3, 3)
    )
    depths, feature_size = frustum_geometry(config.camera)
    grid = config.grid.with_z(config.camera.z)
    return frustum_index(
        rays, origins, depths, feature_size, config.camera.stride, grid.range, (grid.cell, grid.cell), batch
    )
