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
    """A shared convolution, then one tower of ``channels`` per class group for the heat maps and one for the codes.

    CenterPoint gives every code of a group a tower of its own; sharing one costs a sixth. The towers of all groups are
    one wide convolution, and the last 1x1 convolution may look at every group's tower.
    """

    def __init__(self, config: HeadConfig, grid: BevGrid, inputs: int) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        channels, groups = config.channels, len(config.groups)
        classes = sum(map(len, config.groups))
        self.shared = conv_bn_relu(inputs, channels)
        self.heatmap = nn.Sequential(
            conv_bn_relu(channels, groups * channels), nn.Conv2d(groups * channels, classes, 1)
        )
        self.boxes = nn.Sequential(
            conv_bn_relu(channels, groups * channels), nn.Conv2d(groups * channels, groups * len(CODES), 1)
        )
        nn.init.constant_(self.heatmap[1].bias, HEATMAP_BIAS)  # type: ignore[arg-type]

    def forward(self, high: Tensor) -> dict[str, Tensor]:
        """Raw maps: ``heatmap`` (B, n, H, W) logits in the groups' order, ``boxes`` (B, G, 10, H, W) codes."""
        shared = self.shared(high)
        boxes = self.boxes(shared).unflatten(1, (len(self.config.groups), len(CODES)))
        return {"heatmap": self.heatmap(shared), "boxes": boxes}

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
