"""BEV encoder from the low- to the high-level feature: SECOND stages and SECONDFPN."""

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
    """Transposed convolution (a 1x1 convolution for factor 1), batch normalisation, ReLU."""
    if factor == 1:
        return conv_bn_relu(inputs, outputs, kernel=1)
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, factor, stride=factor, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
