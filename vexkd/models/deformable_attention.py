"""Deformable attention on a BEV grid, built on ``grid_sample`` so that it exports to every runtime.

DeformAttn(q, p, x) = sum_heads W_i sum_keys A_ij W'_i x(p + dp_ij), with A and dp predicted from q (Deformable DETR).
The query lives on the grid of the values: query number iy * W + ix looks around the centre of cell (ix, iy).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sample_keys(value: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples around every cell; outside the grid values are zero.

    Args:
        value: (B * heads, C, H, W).
        offsets: (B * heads, H * W, keys, 2) x and y in cells from the query's own cell centre.
        weights: (B * heads, H * W, keys).

    Returns:
        (B * heads, C, H * W).
    """
    height, width = value.shape[-2:]
    x = torch.arange(width, dtype=offsets.dtype, device=offsets.device)
    y = torch.arange(height, dtype=offsets.dtype, device=offsets.device)
    centres = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1) + 0.5
    size = torch.tensor([width, height], dtype=offsets.dtype, device=offsets.device)
    locations = (centres[:, None] + offsets) * (2 / size) - 1
    samples = functional.grid_sample(value, locations, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (samples * weights[:, None]).sum(dim=-1)


class DeformableAttention(nn.Module):
    """Deformable attention from query tokens to value tokens of the same H x W grid."""

    def __init__(self, query_channels: int, value_channels: int, channels: int, heads: int, keys: int) -> None:
        super().__init__()
        self.heads, self.keys = heads, keys
        self.offsets = nn.Linear(query_channels, heads * keys * 2)
        self.weights = nn.Linear(query_channels, heads * keys)
        self.value = nn.Linear(value_channels, channels)
        self.output = nn.Linear(channels, channels)
        self._initialise()

    def _initialise(self) -> None:
        """Equal weights; head i looks along direction i, its keys one, two, ... cells away (Deformable DETR)."""
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.keys + 1).view(1, -1, 1)
        with torch.no_grad():
            self.offsets.bias.copy_((direction[:, None] * steps).flatten())
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """Attend from query (B, H*W, query_channels) to value (B, H*W, value_channels): (B, H*W, channels)."""
        batch, tokens = query.shape[:2]
        # Locations stay float32 under autocast: float16 resolves a 128-cell grid to only 1/16 of a cell.
        offsets = self.offsets(query).float().view(batch, tokens, self.heads, self.keys, 2)
        weights = self.weights(query).view(batch, tokens, self.heads, self.keys).softmax(dim=-1)
        values = self.value(value).transpose(1, 2).reshape(batch * self.heads, -1, *size)
        sampled = sample_keys(
            values.float(), offsets.transpose(1, 2).flatten(0, 1), weights.float().transpose(1, 2).flatten(0, 1)
        )
        return self.output(sampled.view(batch, -1, tokens).transpose(1, 2))


class FeedForward(nn.Sequential):
    """Linear, ReLU, Linear with twice the channels inside: (B, tokens, channels) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True), nn.Linear(2 * channels, channels))


def to_tokens(feature: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H * W, C)."""
    return feature.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H * W, C) to (B, C, H, W)."""
    return tokens.transpose(1, 2).unflatten(2, size)
