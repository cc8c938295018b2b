"""Lift-splat view transform (LSS): a depth distribution times a context vector per pixel, summed into BEV cells."""

import torch
from torch import Tensor, nn

import vexkd.ops  # noqa: F401  registers torch.ops.vexkd
from vexkd.config import CameraConfig
from vexkd.geometry import BevGrid
from vexkd.models.frustum import frustum_geometry
from vexkd.models.layers import conv_bn_relu


class LiftSplat(nn.Module):
    """Image features to the camera's low-level BEV feature.

    A 3x3 convolution after pooling fills the cells between far pixels' rays and gives every cell one scale, as
    the convolutions at the end of BEVFusion's view transform do.
    """

    def __init__(self, config: CameraConfig, grid: BevGrid) -> None:
        super().__init__()
        self.height, self.width, self.stride = grid.height, grid.width, config.stride
        depths, self.feature_size = frustum_geometry(config)
        self.depths = depths.tolist()
        self.range, self.cell = grid.with_z(config.z).range, (grid.cell, grid.cell)
        self.split = [len(self.depths), config.channels]
        self.project = nn.Conv2d(config.neck_channels, sum(self.split), 1)
        self.smooth = conv_bn_relu(config.channels, config.channels)

    def forward(self, features: Tensor, rays: Tensor, origins: Tensor, batch: int) -> Tensor:
        """Lift features (B * V, C, h, w) and pool them into (B, channels, H, W); see ``Inputs`` for rays, origins."""
        depth, context = self.project(features).split(self.split, dim=1)
        # Softmax in float32 whatever the layers around run in; the kernels take float32 or float16.
        dtype = torch.float16 if context.dtype == torch.float16 else torch.float32
        depth = depth.float().softmax(dim=1).to(dtype)
        points, starts = torch.ops.vexkd.frustum_index(
            rays, origins, self.depths, *self.feature_size, self.stride, self.range, self.cell, batch
        )
        pooled = torch.ops.vexkd.bev_pool(
            depth.contiguous(), context.to(dtype).contiguous(), points, starts, batch, self.height, self.width
        )
        return self.smooth(pooled)
