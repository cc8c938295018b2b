"""Modality-general fusion: symmetric in its modalities, and graceful when one is missing."""

import pytest
import torch

from vexkd.config import FusionConfig
from vexkd.models.fusion import ConvFusion, ModalityGeneralFusion

SIZE = (4, 6)
CONFIG = FusionConfig(channels=8, blocks=2, heads=2, keys=3)


def fusion() -> ModalityGeneralFusion:
    torch.manual_seed(0)
    return ModalityGeneralFusion(CONFIG, SIZE, 5, 5).eval()


def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, 5, *SIZE, generator=generator) for _ in range(2))  # type: ignore[return-value]


def test_swapping_modalities_and_their_weights_changes_nothing() -> None:
    plain, swapped = fusion(), fusion()
    weights = plain.state_dict()
    exchange = {".camera.": ".lidar.", ".lidar.": ".camera."}
    renamed = {}
    for name, value in weights.items():
        pair = next((pair for pair in exchange.items() if pair[0] in name), None)
        renamed[name.replace(*pair) if pair else name] = value
    assert sum(name not in weights or not torch.equal(renamed[name], weights[name]) for name in weights) > 0
    swapped.load_state_dict(renamed)
    camera, lidar = features()
    for ours, theirs in zip(plain(camera, lidar), swapped(lidar, camera), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_shapes_and_non_negative_output() -> None:
    low, query = fusion()(*features())
    assert low.shape == (2, 8, *SIZE) and query.shape == (2, 24, 8)
    assert (low >= 0).all() and low.std() > 0


@pytest.mark.parametrize("missing", ["camera", "lidar"])
def test_missing_modality_leaves_the_sum(missing: str) -> None:
    model = fusion()
    camera, lidar = features()
    kept = (None, lidar) if missing == "camera" else (camera, None)
    alone, _ = model(*kept)
    # A modality whose attention outputs nothing leaves the sum as well.
    with torch.no_grad():
        for block in model.blocks:
            block.cross[missing].output.weight.zero_()
            block.cross[missing].output.bias.zero_()
    muted, _ = model(camera, lidar)
    torch.testing.assert_close(alone, muted, atol=1e-6, rtol=1e-6)
    assert torch.isfinite(alone).all()


def test_conv_fusion_takes_zeros_for_a_missing_modality() -> None:
    torch.manual_seed(0)
    model = ConvFusion(CONFIG, SIZE, 5, 5).eval()
    camera, lidar = features()
    torch.testing.assert_close(model(None, lidar)[0], model(torch.zeros_like(camera), lidar)[0])
    assert model(camera, lidar)[1] is None


@pytest.mark.parametrize("kind", [ModalityGeneralFusion, ConvFusion])
def test_nothing_to_fuse_is_an_error(kind: type) -> None:
    with pytest.raises(ValueError, match="camera"):
        kind(CONFIG, SIZE, 5, 5)(None, None)
