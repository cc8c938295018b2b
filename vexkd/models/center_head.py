"""Centre head (CenterPoint): heat maps and box codes per class group, decoded to boxes in the graph."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.config import HeadConfig
from vexkd.geometry import BevGrid
from vexkd.models.center_targets import CODES, class_layout
from vexkd.models.inputs import Detections
from vexkd.models.layers import conv_bn_relu

HEATMAP_BIAS = -2.19
"""Logit of a first guess of 0.1 everywhere."""


class CenterHead(nn.Module):
    """One shared convolution, then per group a tower for the heat maps and one for the box codes.

    CenterPoint gives every code a tower of its own; one tower for all ten codes of a group costs a sixth.
    """

    def __init__(self, config: HeadConfig, grid: BevGrid, inputs: int) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        channels = config.channels
        self.shared = conv_bn_relu(inputs, channels)
        # The first convolutions of all towers are one wide convolution: the same sums, one kernel.
        self.towers = conv_bn_relu(channels, 2 * len(config.groups) * channels)
        self.heatmap = nn.ModuleList(nn.Conv2d(channels, len(group), 1) for group in config.groups)
        self.boxes = nn.ModuleList(nn.Conv2d(channels, len(CODES), 1) for _ in config.groups)
        for layer in self.heatmap:
            nn.init.constant_(layer.bias, HEATMAP_BIAS)

    def forward(self, high: Tensor) -> dict[str, Tensor]:
        """Raw maps: ``heatmap`` (B, n, H, W) logits in the groups' order, ``boxes`` (B, G, 10, H, W) codes."""
        towers = self.towers(self.shared(high)).chunk(2 * len(self.heatmap), dim=1)
        heatmap = [layer(tower) for layer, tower in zip(self.heatmap, towers[0::2], strict=True)]
        boxes = [layer(tower) for layer, tower in zip(self.boxes, towers[1::2], strict=True)]
        return {"heatmap": torch.cat(heatmap, dim=1), "boxes": torch.stack(boxes, dim=1)}

    def decode(self, raw: dict[str, Tensor]) -> Detections:
        """The ``max_boxes`` highest peaks (maxima of their 3x3 neighbourhood) of all classes as boxes, best first."""
        return decode(raw["heatmap"].float().sigmoid(), raw["boxes"].float(), self.config, self.grid)


def decode(heatmap: Tensor, codes: Tensor, config: HeadConfig, grid: BevGrid) -> Detections:
    """Boxes from probabilities (B, n, H, W) and codes (B, G, 10, H, W)."""
    layout_labels, layout_groups = class_layout(config)
    cells, device = grid.height * grid.width, heatmap.device
    peaks = functional.max_pool2d(heatmap, 3, stride=1, padding=1) == heatmap
    scores, index = (heatmap * peaks.to(heatmap.dtype)).flatten(1).topk(config.max_boxes, dim=1)
    # Counting the channels that end before an index is a division that stays in whole numbers in every runtime.
    ends = torch.arange(1, len(layout_labels), device=device) * cells
    channel = (index[..., None] >= ends).long().sum(-1)
    labels = torch.tensor(layout_labels, dtype=torch.int32, device=device)[channel]
    group = torch.tensor(layout_groups, device=device)[channel]

    # Positions are added before the gather, so that no row or column has to be found for an index.
    x = (torch.arange(grid.width, device=device) + codes[:, :, 0]) * grid.cell + grid.x[0]
    y = (torch.arange(grid.height, device=device)[:, None] + codes[:, :, 1]) * grid.cell + grid.y[0]
    placed = torch.cat([torch.stack([x, y], dim=2), codes[:, :, 2:]], dim=2)
    place = (group * cells + index - channel * cells)[..., None].expand(-1, -1, len(CODES))
    code = placed.flatten(3).transpose(2, 3).flatten(1, 2).gather(1, place)
    size = code[..., 3:6].clamp(-5, 5).exp()
    yaw = torch.atan2(code[..., 6:7], code[..., 7:8])
    return Detections(torch.cat([code[..., :3], size, yaw, code[..., 8:]], dim=-1), scores, labels)
