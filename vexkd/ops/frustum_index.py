"""``vexkd::frustum_index``: calibration to the frustum's points, sorted by BEV cell."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vexkd.ops.autocast import autocast_like_matmul
from vexkd.ops.launch import check, launch
from vexkd.plugins.library import FrustumShape, make_grid


@torch.library.custom_op("vexkd::frustum_index", mutates_args=())
def frustum_index(
    rays: Tensor,
    origins: Tensor,
    depths: Sequence[float],
    feature_height: int,
    feature_width: int,
    stride: int,
    range: Sequence[float],
    cell: Sequence[float],
    batch: int,
) -> tuple[Tensor, Tensor]:
    """Frustum points of all cameras sorted by BEV cell; has no gradient.

    Args:
        rays: (V, 3, 3) float32 of :func:`vexkd.plugins.frustum.camera_rays`; V counts all cameras of the batch.
        origins: (V, 3) float32, metres.
        depths: of the D depth bins in metres; at most 896 on a GPU.
        feature_height: rows of the feature map, h.
        feature_width: columns of the feature map, w.
        stride: pixels of the prepared image per feature pixel.
        range: x_min, y_min, z_min, x_max, y_max, z_max in metres.
        cell: cell_x, cell_y in metres.
        batch: samples B; V is a multiple of it.

    Returns:
        points (V*D*h*w,) int32 flat indices ((v*D + d)*h + y)*w + x sorted by cell, -1 at the end for those outside;
        starts (B*H*W + 1,) int32: cell c owns points[starts[c]:starts[c + 1]].

    Raises:
        ValueError: a wrong dtype, shape or device.
        KernelError: the range is no grid, V is no multiple of the batch, or sizes that are none or too large.

    """
    rays = check("rays", rays, torch.float32, (None, 3, 3), rays)
    origins = check("origins", origins, torch.float32, (len(rays), 3), rays)
    bins = np.array(depths, np.float32)
    shape = FrustumShape(batch, len(rays), len(bins), feature_height, feature_width, stride)
    grid = make_grid(range, cell)
    points, starts = _outputs(rays, len(bins) * feature_height * feature_width, batch * grid.height * grid.width)
    launch("frustum_index", (rays, origins, bins.ctypes.data, shape, grid, points, starts), (shape, grid))
    return points, starts


@frustum_index.register_fake
def _(
    rays: Tensor,
    origins: Tensor,
    depths: Sequence[float],
    feature_height: int,
    feature_width: int,
    stride: int,
    range: Sequence[float],
    cell: Sequence[float],
    batch: int,
) -> tuple[Tensor, Tensor]:
    grid = make_grid(range, cell)
    return _outputs(rays, len(depths) * feature_height * feature_width, batch * grid.height * grid.width)


def _outputs(rays: Tensor, points_per_view: int, cells: int) -> tuple[Tensor, Tensor]:
    """Memory for points and starts; sizes that are none give none, and the kernel refuses them."""
    empty = [max(0, size) for size in (rays.shape[0] * points_per_view, cells + 1)]
    return rays.new_empty(empty[0], dtype=torch.int32), rays.new_empty(empty[1], dtype=torch.int32)


autocast_like_matmul("frustum_index", frustum_index, half=False)
