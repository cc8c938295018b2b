"""From calibration to the rays that a model takes; numpy only, so that data workers and tools need no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.config import CameraConfig
from vexkd.plugins.frustum import camera_rays, image_transform


def frustum_geometry(config: CameraConfig) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Depth bins (D,) float32 in metres along the optical axis and the feature map's size (h, w)."""
    first, end, step = config.depth
    depths = first + step * np.arange(round((end - first) / step))
    height, width = config.image_size
    return depths.astype(np.float32), (height // config.stride, width // config.stride)


def ray_inputs(
    config: CameraConfig,
    intrinsics: NDArray[np.float64],
    camera_to_ego: NDArray[np.float64],
    raw_size: tuple[int, int],
    image_transforms: NDArray[np.floating[Any]] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays and origins of a batch, as :class:`vexkd.models.inputs.Inputs` takes them.

    Args:
        config: of the model's camera branch.
        intrinsics: (B, V, 3, 3) for the raw images' pixels.
        camera_to_ego: (B, V, 4, 4); with augmentation of the scene already applied.
        raw_size: (height, width) of the raw images.
        image_transforms: (B, V, 3, 3) from raw to prepared pixels, by default the model's own resize and crop.

    Returns:
        rays (B*V, 3, 3) float32 and origins (B*V, 3) float32.
    """
    if image_transforms is None:
        fixed = image_transform(raw_size, config.image_size)
        image_transforms = np.broadcast_to(fixed, (*intrinsics.shape[:2], 3, 3))
    return camera_rays(
        intrinsics.reshape(-1, 3, 3), camera_to_ego.reshape(-1, 4, 4), image_transforms.reshape(-1, 3, 3)
    )
