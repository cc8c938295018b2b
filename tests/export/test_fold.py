"""Folding batch normalisations leaves what a network computes as it is."""

import pytest
import torch
from torch import Tensor, nn

from vexkd.export.fold import fold_batch_norms


def shaken(model: nn.Module) -> nn.Module:
    """Norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 1, generator=generator)
            module.running_var.uniform_(0.2, 3, generator=generator)
            if module.affine:
                module.weight.data.normal_(0, 1, generator=generator)
                module.bias.data.normal_(0, 1, generator=generator)
    return model.eval()


CASES = {
    "conv": lambda: nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8)),
    "conv with bias and groups": lambda: nn.Sequential(nn.Conv2d(6, 8, 3, groups=2), nn.BatchNorm2d(8)),
    "plain norm": lambda: nn.Sequential(nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8, affine=False)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(6, 8, 2, stride=2), nn.BatchNorm2d(8)),
    "transposed with groups": lambda: nn.Sequential(nn.ConvTranspose2d(6, 8, 3, groups=2), nn.BatchNorm2d(8)),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6 * 5 * 7, 8, bias=False), nn.BatchNorm1d(8)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_folded_layer_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    model = shaken(CASES[name]())
    value = torch.randn(3, 6, 5, 7)
    expected = model(value).detach()
    assert fold_batch_norms(model, (value,)) == 1
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(model(value), expected, rtol=1e-5, atol=1e-5)


class Twice(nn.Module):
    """One convolution, two norms after it: nothing can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(6, 8, 1)
        self.first, self.second = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.layer(value)
        return self.first(hidden) + self.second(hidden)


class Between(nn.Module):
    """A ReLU stands between convolution and norm: nothing can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8)

    def forward(self, value: Tensor) -> Tensor:
        return self.norm(torch.relu(self.layer(value)))


@pytest.mark.parametrize("kind", [Twice, Between])
def test_what_cannot_be_folded_stays(kind: type[nn.Module]) -> None:
    model = shaken(kind())
    value = torch.randn(2, 6, 4, 4)
    expected = model(value)
    assert fold_batch_norms(model, (value,)) == 0
    torch.testing.assert_close(model(value), expected, rtol=0, atol=0)
