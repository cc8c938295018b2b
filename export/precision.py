"""FP16 where it is safe, decided per module before the model is traced, so that the graph says what runs in what.

In FP16: the weights, inputs and outputs of convolutions and of linear layers, hence the activations between them, the
pooling operators (which accumulate in FP32) and the model file.

In FP32, with what depends on it:

- image preparation: pixel coordinates and normalisation; its result is rounded once, for the first convolution;
- ``Voxelize`` and the point MLP: at 50 m FP16 resolves 3 cm, more than a pillar's offsets can bear;
- the softmax of the depth distribution (its result enters ``BevPool`` in FP16);
- the residual query of the fusion, its layer normalisations, and the linear layers that predict sampling offsets and
  attention weights: FP16 resolves a 128-cell grid to 1/16 of a cell;
- sampling itself, resampling to the map's grid, and the decoding of boxes.
"""

import torch
from torch import Tensor, nn

from vexkd.models.deformable_attention import DeformableAttention
from vexkd.models.image_preparation import ImagePreparation
from vexkd.models.lidar_branch import PointMlp
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


class Half(nn.Module):
    """A layer with FP16 weights that takes any precision and gives FP16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.half()

    def forward(self, value: Tensor) -> Tensor:
        """The layer's output in FP16."""
        result: Tensor = self.layer(value.half())
        return result


class ToHalf(nn.Module):
    """An FP32 module whose output is wanted in FP16."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, value: Tensor) -> Tensor:
        """The module's output in FP16."""
        result: Tensor = self.module(value)
        return result.half()


def to_half(model: Perception) -> None:
    """Put the safe layers of a model whose batch normalisations were folded into FP16, in place.

    Raises:
        UserError: a weight is too large for FP16.
    """
    kept = _not_wrapped(model)
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, LAYERS) and m not in kept]
    for name, layer in layers:
        _check_range(name, layer)
        model.set_submodule(name, Half(layer))
    for name, module in list(model.named_modules()):
        if isinstance(module, PointMlp):
            model.set_submodule(name, ToHalf(module))
        elif isinstance(module, ImagePreparation):
            module.dtype = torch.float16
        elif isinstance(module, DeformableAttention):
            # Attention multiplies by this layer's weights itself, and brings the tokens to their type.
            _check_range(f"{name}.value", module.value)
            module.value.half()


def _not_wrapped(model: nn.Module) -> set[nn.Module]:
    kept: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, PointMlp):
            kept.update(module.modules())
        elif isinstance(module, DeformableAttention):
            kept |= {module.offsets, module.weights, module.value}
    return kept


def _check_range(name: str, layer: nn.Module) -> None:
    largest = torch.finfo(torch.float16).max
    for part, value in layer.named_parameters():
        if not bool((value.abs() <= largest).all()):
            raise UserError(
                f"{name}.{part} does not fit FP16 (largest magnitude {value.abs().max():.3g}); export it without --fp16"
            )
