"""BEV encoder from the low- to the high-level feature: SECOND stages, joined as SECONDFPN joins them."""

import torch
from torch import Tensor, nn

from vexkd.config import EncoderConfig
from vexkd.models.layers import conv_bn_relu


class BevEncoder(nn.Module):
    """Stages at strides 1, 2, 4, ...; each is brought back to the input's size, and all are concatenated."""

    def __init__(self, config: EncoderConfig, inputs: int) -> None:
        super().__init__()
        share = config.out_channels // len(config.channels)
        self.stages = nn.ModuleList()
        self.upsample = nn.ModuleList()
        for i, channels in enumerate(config.channels):
            first = conv_bn_relu(inputs, channels, stride=1 if i == 0 else 2)
            self.stages.append(nn.Sequential(first, *(conv_bn_relu(channels, channels) for _ in range(config.layers))))
            self.upsample.append(_upsample(channels, share, 2**i))
            inputs = channels

    def forward(self, low: Tensor) -> Tensor:
        """Encode (B, C, H, W) to (B, out_channels, H, W)."""
        levels = []
        feature = low
        for stage, upsample in zip(self.stages, self.upsample, strict=True):
            feature = stage(feature)
            levels.append(upsample(feature))
        return torch.cat(levels, dim=1)


def _upsample(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    """A 1x1 convolution block at the stage's own resolution, then bilinear interpolation.

    SECONDFPN's transposed convolution has weights of its own for each of the factor^2 phases of an output cell: a
    constant input gives a checkerboard, which a student is then taught to imitate. This costs a factor^2-th of its
    multiplications, and a constant stays a constant.
    """
    block = conv_bn_relu(inputs, outputs, kernel=1)
    if factor > 1:
        block.append(nn.Upsample(scale_factor=float(factor), mode="bilinear", align_corners=False))
    return block
