"""The BEV encoder keeps a constant constant: what a student imitates is the scene, not the grid."""

import torch

from vexkd.config import EncoderConfig
from vexkd.models.bev_encoder import BevEncoder


def test_a_constant_input_gives_a_constant_output_away_from_the_border() -> None:
    torch.manual_seed(0)
    encoder = BevEncoder(EncoderConfig(channels=(6, 8, 10), layers=1, out_channels=12), 5)
    for _ in range(3):
        encoder(torch.randn(2, 5, 64, 64))
    encoder.eval()
    high = encoder(torch.randn(1, 5, 1, 1).expand(-1, -1, 64, 64).contiguous())
    # Three stages at strides 1, 2, 4 of two 3x3 convolutions each, and interpolation, reach 2 + 4 + 8 + 4 cells.
    inner = high[:, :, 20:-20, 20:-20]
    assert high.shape == (1, 12, 64, 64)
    assert inner.std() > 0
    torch.testing.assert_close(inner, inner[:, :, :1, :1].expand_as(inner), atol=1e-5, rtol=0)
