"""Learned masks: where, for this level and task, the teacher's BEV feature matters and can be mimicked."""

import torch
from torch import Tensor, nn

from vexkd.config import DistillConfig
from vexkd.models.deformable_attention import DeformableAttention, FeedForward, to_map, to_tokens

FIRST_LOGIT = -2.0
"""A mask starts almost closed, at 0.12: the task opens it where the teacher needs its feature, and what nothing asks
for stays closed. One that starts half open or wider stays open there, and is the whole map in the end."""


class MaskBlock(nn.Module):
    """Deformable cross-attention from the query to the teacher's feature, then feed-forward; pre-norm, residual."""

    def __init__(self, config: DistillConfig, value_channels: int) -> None:
        super().__init__()
        channels = config.mask_channels
        self.cross_norm = nn.LayerNorm(channels)
        self.cross = DeformableAttention(channels, value_channels, channels, config.heads, config.keys)
        self.feed_norm = nn.LayerNorm(channels)
        self.feed = FeedForward(channels)

    def forward(self, query: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """Update query (B, H*W, C) from value (B, H*W, value_channels)."""
        query = query + self.cross(self.cross_norm(query), value, size)
        return query + self.feed(self.feed_norm(query))


class MaskGenerator(nn.Module):
    """Query and teacher feature of one level to a mask in (0, 1).

    The query is the last one of the teacher's modality-general fusion, projected to ``mask_channels``. With
    ``query_channels`` None it is a randomly initialised parameter instead (the ablation ``random_query``).
    """

    def __init__(
        self, config: DistillConfig, query_channels: int | None, value_channels: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.size = size
        channels = config.mask_channels
        if query_channels is None:
            self.random_query: nn.Parameter | None = nn.Parameter(torch.randn(1, size[0] * size[1], channels))
            self.project: nn.Linear | None = None
        else:
            self.random_query = None
            self.project = nn.Linear(query_channels, channels)
        self.blocks = nn.ModuleList(MaskBlock(config, value_channels) for _ in range(config.blocks))
        # The query's magnitude differs from teacher to teacher; unnormalised, it saturates the sigmoid in a few steps.
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, 1)
        nn.init.constant_(self.output.bias, FIRST_LOGIT)

    def forward(self, query: Tensor | None, feature: Tensor) -> Tensor:
        """Mask (B, 1, H, W) for feature (B, C, H, W) from query (B, H*W, query_channels)."""
        if self.project is not None and query is not None:
            hidden = self.project(query)
        elif self.random_query is not None:
            hidden = self.random_query.expand(len(feature), -1, -1)
        else:
            raise ValueError("this mask generator needs the fusion's query")
        value = to_tokens(feature)
        for block in self.blocks:
            hidden = block(hidden, value, self.size)
        return to_map(self.output(self.norm(hidden)), self.size).sigmoid()
