"""Deformable attention against loops over queries, heads and keys."""

import math

import torch

from vexkd.models.deformable_attention import DeformableAttention, sample_keys, to_map, to_tokens


def bilinear(value: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Value (C, H, W) at cell coordinates (0 is the first cell's centre), zero outside: (C,)."""
    result = torch.zeros(value.shape[0], dtype=value.dtype)
    for iy in (math.floor(y), math.floor(y) + 1):
        for ix in (math.floor(x), math.floor(x) + 1):
            if 0 <= iy < value.shape[1] and 0 <= ix < value.shape[2]:
                result += (1 - abs(x - ix)) * (1 - abs(y - iy)) * value[:, iy, ix]
    return result


def test_against_loops() -> None:
    torch.manual_seed(0)
    batch, heads, keys, channels, height, width = 2, 2, 3, 6, 4, 5
    layer = DeformableAttention(7, 5, channels, heads, keys).double()
    torch.nn.init.normal_(layer.offsets.weight)
    torch.nn.init.normal_(layer.weights.weight)
    query = torch.randn(batch, height * width, 7).double()
    value = torch.randn(batch, height * width, 5).double()

    expected = torch.zeros(batch, height * width, channels, dtype=torch.float64)
    for b in range(batch):
        projected = to_map(layer.value(value[b : b + 1]), (height, width))[0].split(channels // heads)
        for iy in range(height):
            for ix in range(width):
                q = query[b, iy * width + ix]
                offsets = layer.offsets(q).view(heads, keys, 2)
                weights = layer.weights(q).view(heads, keys).softmax(-1)
                parts = [
                    sum(
                        weights[h, k]
                        * bilinear(projected[h], ix + offsets[h, k, 0].item(), iy + offsets[h, k, 1].item())
                        for k in range(keys)
                    )
                    for h in range(heads)
                ]
                expected[b, iy * width + ix] = layer.output(torch.cat(parts))
    # Locations are float32 by design, so agreement is to single precision.
    got = layer.float()(query.float(), value.float(), (height, width))
    torch.testing.assert_close(got.double(), expected, atol=2e-5, rtol=0)


def test_zero_offsets_return_the_own_cell() -> None:
    value = torch.randn(3, 2, 4, 6)
    offsets = torch.zeros(3, 1, 2, 24)
    sampled = sample_keys(value, offsets, torch.ones(3, 1, 24))
    torch.testing.assert_close(sampled, value.flatten(2), atol=1e-5, rtol=0)


def test_gradients_reach_offsets_weights_and_values() -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(4, 4, 4, 2, 2)
    tokens = torch.randn(1, 12, 4)
    layer(tokens, tokens, (3, 4)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_tokens_and_maps_are_inverse() -> None:
    feature = torch.randn(2, 3, 4, 5)
    assert torch.equal(to_map(to_tokens(feature), (4, 5)), feature)
