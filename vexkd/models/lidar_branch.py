"""LiDAR branch: pillars with a point MLP (PointPillars), then 2-D stages from the pillars' to the grid's resolution."""

import torch
from torch import Tensor, nn
from torch.nn import functional

import vexkd.ops  # noqa: F401  registers torch.ops.vexkd
from vexkd.config import LidarConfig
from vexkd.geometry import BevGrid
from vexkd.models.inputs import Inputs
from vexkd.models.layers import conv_bn_relu

FEATURES = 11
"""Features per point of ``Voxelize``: the 5 inputs, offset to the pillar's mean (3), to the cell's centre (3)."""


class PointMlp(nn.Module):
    """Scale the point features to about one, then Linear, BatchNorm, ReLU."""

    scale: Tensor

    def __init__(self, grid: BevGrid, pillar: float, channels: int) -> None:
        super().__init__()
        reach = [max(map(abs, grid.x)), max(map(abs, grid.y)), max(map(abs, grid.z))]
        half_height = (grid.z[1] - grid.z[0]) / 2
        offset = [pillar / 2, pillar / 2, half_height]
        # Intensity is in 0..1 already; ten sweeps are half a second old at most.
        scale = [*reach, 1.0, 0.5, *offset, *offset]
        self.register_buffer("scale", torch.tensor(scale).reciprocal(), persistent=False)
        self.linear = nn.Linear(FEATURES, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Features (M, 11) to (M, channels); in training the rows must be real points, as they make the statistics."""
        hidden = self.linear(features * self.scale)
        if self.training and len(hidden) < 2:
            norm = self.norm
            hidden = functional.batch_norm(
                hidden, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
            )
        else:
            hidden = self.norm(hidden)
        return torch.relu(hidden)


class LidarBranch(nn.Module):
    """Points to the LiDAR's low-level BEV feature."""

    def __init__(self, config: LidarConfig, grid: BevGrid) -> None:
        super().__init__()
        pillars = grid.with_cell(config.pillar)
        self.range = list(grid.range)
        self.cell = [config.pillar, config.pillar]
        self.height, self.width = pillars.height, pillars.width
        self.points = PointMlp(grid, config.pillar, config.point_channels)
        halvings = (round(grid.cell / config.pillar)).bit_length() - 1
        widths = [min(config.channels, config.point_channels * 2**i) for i in range(halvings)] + [config.channels]
        stages: list[nn.Module] = []
        channels = config.point_channels
        for i, width in enumerate(widths):
            for layer in range(config.layers):
                stages.append(conv_bn_relu(channels, width, stride=2 if layer == 0 and i < halvings else 1))
                channels = width
        self.stages = nn.Sequential(*stages)

    def forward(self, inputs: Inputs) -> Tensor:
        """BEV feature (B, channels, H, W) from points and counts."""
        if inputs.points is None or inputs.counts is None:
            raise ValueError("the LiDAR branch needs points and counts")
        points = inputs.points.float().flatten(0, 1)
        features, cells = torch.ops.vexkd.voxelize(points, inputs.counts, self.range, self.cell)
        if self.training:
            # Dropped and padded rows would enter the batch statistics; at inference they cost less than a selection.
            kept = cells >= 0
            features, cells = features[kept], cells[kept]
        batch = inputs.points.shape[0]
        bev = torch.ops.vexkd.pillar_max(self.points(features), cells, batch, self.height, self.width)
        return self.stages(bev.contiguous(memory_format=torch.channels_last))
