"""BEV map segmentation head and its loss (BEVFusion)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.classes import MAP_CLASSES, MAP_UNKNOWN
from vexkd.config import HeadConfig
from vexkd.geometry import BevGrid
from vexkd.models.layers import conv_bn_relu
from vexkd.models.reduce import normaliser

MAP_GRID = BevGrid(x=(-50.0, 50.0), y=(-50.0, 50.0), cell=0.5)
"""The grid of map labels and logits: 200 x 200 cells, rows along y, columns along x."""


class MapHead(nn.Module):
    """Resample the BEV feature to the map's grid, two convolution blocks, logits per class."""

    locations: Tensor

    def __init__(self, config: HeadConfig, grid: BevGrid, inputs: int) -> None:
        super().__init__()
        self.register_buffer("locations", _locations(grid), persistent=False)
        self.layers = nn.Sequential(
            conv_bn_relu(inputs, config.channels),
            conv_bn_relu(config.channels, config.channels),
            nn.Conv2d(config.channels, len(MAP_CLASSES), 1),
        )

    def forward(self, high: Tensor) -> Tensor:
        """Logits (B, 6, 200, 200) from (B, C, H, W); cells outside the model's grid see zeros."""
        locations = self.locations.expand(high.shape[0], -1, -1, -1)
        # Locations stay float32 under autocast; sampling follows them.
        sampled = functional.grid_sample(high.float(), locations, padding_mode="zeros", align_corners=False)
        return self.layers(sampled)


def _locations(grid: BevGrid) -> Tensor:
    """Centres of the map's cells in grid_sample's coordinates of the model's grid: (1, 200, 200, 2)."""
    axes = []
    for (low, high), (start, _), size in (
        (grid.x, MAP_GRID.x, MAP_GRID.width),
        (grid.y, MAP_GRID.y, MAP_GRID.height),
    ):
        centres = start + (torch.arange(size, dtype=torch.float64) + 0.5) * MAP_GRID.cell
        axes.append(((centres - low) / (high - low) * 2 - 1).float())
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    return torch.stack([x, y], dim=-1)[None]


def segmentation_loss(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Sigmoid focal loss (alpha -1, gamma 2), mean over known cells and samples of all processes, summed over classes.

    Args:
        logits: (B, 6, 200, 200).
        labels: (B, 6, 200, 200) 0, 1 or ``MAP_UNKNOWN``, any dtype.

    Returns:
        The scalar ``loss``.
    """
    if logits.shape != labels.shape:
        raise ValueError(f"map labels must have the logits' shape {tuple(logits.shape)}, got {tuple(labels.shape)}")
    known = (labels != MAP_UNKNOWN).float()
    logits, target = logits.float(), labels.float() * known
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    miss = p + target - 2 * p * target
    return {"loss": ((miss**2 * entropy * known).sum((0, 2, 3)) / normaliser(known.sum((0, 2, 3)))).sum()}
