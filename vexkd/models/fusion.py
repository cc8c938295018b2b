"""Fusion of the camera's and the LiDAR's BEV features: VeXKD's modality-general fusion, and the plain convolution.

Choices where the paper is silent. Blocks are pre-norm with residuals (cross-modal attention, query self-attention,
feed-forward of twice the width): a normalisation after the last block would give every position the same magnitude,
and attention transfer compares exactly these magnitudes. A convolution block turns the last query into the low-level
feature, which makes it non-negative like the students'. Each modality is first projected to the query's width.
"""

import torch
from torch import Tensor, nn

from vexkd.config import FusionConfig
from vexkd.models.deformable_attention import DeformableAttention, FeedForward, to_map, to_tokens
from vexkd.models.layers import conv_bn_relu

MODALITIES = ("camera", "lidar")


class FusionBlock(nn.Module):
    """Cross-modal symmetric deformable attention, query self-attention, feed-forward."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        channels, heads, keys = config.channels, config.heads, config.keys
        self.cross_norm = nn.LayerNorm(channels)
        self.cross = nn.ModuleDict(
            {name: DeformableAttention(2 * channels, channels, channels, heads, keys) for name in MODALITIES}
        )
        self.self_norm = nn.LayerNorm(channels)
        self.self_attention = DeformableAttention(channels, channels, channels, heads, keys)
        self.feed_norm = nn.LayerNorm(channels)
        self.feed = FeedForward(channels)

    def forward(self, query: Tensor, features: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
        """Update query (B, H*W, C) from the modalities' tokens (B, H*W, C); absent modalities leave the sum."""
        normed = self.cross_norm(query)
        for name, feature in features.items():
            query = query + self.cross[name](torch.cat([normed, feature], dim=-1), feature, size)
        normed = self.self_norm(query)
        query = query + self.self_attention(normed, normed, size)
        return query + self.feed(self.feed_norm(query))


class ModalityGeneralFusion(nn.Module):
    """MGFM: a learnable dense BEV query gathers both modalities, none of them privileged."""

    def __init__(self, config: FusionConfig, size: tuple[int, int], camera_channels: int, lidar_channels: int) -> None:
        super().__init__()
        self.size = size
        self.query = nn.Parameter(0.02 * torch.randn(1, size[0] * size[1], config.channels))
        self.project = nn.ModuleDict(
            {
                "camera": nn.Linear(camera_channels, config.channels),
                "lidar": nn.Linear(lidar_channels, config.channels),
            }
        )
        self.blocks = nn.ModuleList(FusionBlock(config) for _ in range(config.blocks))
        self.output = conv_bn_relu(config.channels, config.channels)

    def forward(self, camera: Tensor | None, lidar: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fuse maps (B, C_m, H, W), one of which may be missing, to (B, C, H, W); also the last query (B, H*W, C)."""
        present = {name: x for name, x in zip(MODALITIES, (camera, lidar), strict=True) if x is not None}
        if not present:
            raise ValueError("fusion needs the camera's feature, the LiDAR's or both")
        features = {name: self.project[name](to_tokens(feature)) for name, feature in present.items()}
        batch = next(iter(features.values())).shape[0]
        query = self.query.expand(batch, -1, -1)
        for block in self.blocks:
            query = block(query, features, self.size)
        return self.output(to_map(query, self.size)), query


class ConvFusion(nn.Module):
    """BEVFusion's convolutional fuser: concatenate, convolve. A missing modality is a map of zeros."""

    def __init__(self, config: FusionConfig, size: tuple[int, int], camera_channels: int, lidar_channels: int) -> None:
        super().__init__()
        self.size = size
        self.channels = (camera_channels, lidar_channels)
        self.output = conv_bn_relu(camera_channels + lidar_channels, config.channels)

    def forward(self, camera: Tensor | None, lidar: Tensor | None) -> tuple[Tensor, None]:
        """Fuse maps (B, C_m, H, W), one of which may be missing, to (B, C, H, W); there is no query."""
        present = camera if camera is not None else lidar
        if present is None:
            raise ValueError("fusion needs the camera's feature, the LiDAR's or both")
        maps = [
            present.new_zeros(present.shape[0], channels, *self.size) if feature is None else feature
            for feature, channels in zip((camera, lidar), self.channels, strict=True)
        ]
        return self.output(torch.cat(maps, dim=1)), None
