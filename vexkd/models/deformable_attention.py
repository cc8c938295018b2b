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
        offsets: (B * heads, keys, 2, H * W) x and y in cells from the query's own cell centre.
        weights: (B * heads, keys, H * W).

    Returns:
        (B * heads, C, H * W).
    """
    height, width = value.shape[-2:]
    column = torch.arange(width, dtype=offsets.dtype, device=offsets.device).repeat(height) + 0.5
    row = torch.arange(height, dtype=offsets.dtype, device=offsets.device).repeat_interleave(width) + 0.5
    x, y = offsets.unbind(2)
    locations = torch.stack([(x + column) * (2 / width) - 1, (y + row) * (2 / height) - 1], dim=-1)
    samples = functional.grid_sample(value, locations, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (samples * weights[:, None]).sum(dim=2)


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
        heads = query.shape[0] * self.heads
        # Locations stay float32 under autocast: float16 resolves a 128-cell grid to only 1/16 of a cell.
        offsets = _channels_first(self.offsets, query).float().reshape(heads, self.keys, 2, -1)
        weights = _channels_first(self.weights, query).float().reshape(heads, self.keys, -1).softmax(dim=1)
        values = _channels_first(self.value, value).float().reshape(heads, -1, *size)
        sampled = sample_keys(values, offsets, weights).view(query.shape[0], -1, query.shape[1])
        return self.output(sampled.transpose(1, 2))


def _channels_first(layer: nn.Linear, tokens: Tensor) -> Tensor:
    """Linear layer from (B, H*W, C_in) to (B, C_out, H*W): sampling then reads rows of positions, with no transpose."""
    # An exported layer may hold float16 weights: its tokens follow.
    return layer.weight @ tokens.transpose(1, 2).to(layer.weight.dtype) + layer.bias[:, None]


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
