"""Quantisation-aware training: a model runs as its INT8 export will, from outside, and its weights stay floating.

Symmetric 8-bit steps as ``vexkd export --int8`` makes them: weights with one scale per output channel, inputs of layers
with one per tensor. A batch normalisation after a layer scales whole output channels, so that rounding the weights
before it is rounding the folded ones. Gradients pass through the rounding as if it were not there, and stop where a
value is cut off (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vexkd.models.inputs import Inputs, Output
from vexkd.models.perception import Perception

LAYERS = (nn.Conv2d, nn.ConvTranspose2d)
LIMIT = 127
"""Largest step of either sign."""
MOMENTUM = 0.1
"""Share of the latest batch in the running range of a layer's input."""
TINY = 1e-12


class FakeQuantisation(nn.Module):
    """Runs a model with rounded weights and activations, as often as it is called.

    Attributes:
        ranges: (L,) float32, largest magnitude of each layer's input, a running mean over training batches; 0 before
            the first.
    """

    ranges: Tensor

    def __init__(self, model: Perception) -> None:
        super().__init__()
        self.names = [name for name, module in model.named_modules() if isinstance(module, LAYERS)]
        self.register_buffer("ranges", torch.zeros(len(self.names)))

    def forward(self, model: Perception, inputs: Inputs) -> Output:
        """The model's output; in training mode the ranges follow its batches."""
        weights = {f"{name}.weight": rounded_weight(model.get_submodule(name)) for name in self.names}
        with self._rounded_inputs(model):
            output: Output = functional_call(model, weights, (inputs,))
        return output

    @contextmanager
    def _rounded_inputs(self, model: Perception) -> Iterator[None]:
        def rounded(index: int) -> Any:
            return lambda _, given: (self._rounded(index, given[0]),)

        hooks = [
            model.get_submodule(name).register_forward_pre_hook(rounded(index)) for index, name in enumerate(self.names)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _rounded(self, index: int, value: Tensor) -> Tensor:
        largest = value.detach().abs().amax().float()
        if self.training:
            before = self.ranges[index]
            self.ranges[index] = torch.where(before > 0, before.lerp(largest, MOMENTUM), largest)
        scale = self.ranges[index].clamp_min(TINY) / LIMIT
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_tensor_affine(value.float(), scale, zero, -LIMIT, LIMIT).to(value.dtype)


def rounded_weight(layer: nn.Module) -> Tensor:
    """A layer's weight on its 8-bit steps, one scale per output channel."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if isinstance(layer, nn.ConvTranspose2d) and layer.groups > 1:
        raise ValueError("grouped transposed convolutions have their output channels on two axes")
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    largest = weight.detach().abs().amax([other for other in range(weight.dim()) if other != axis])
    scale = largest.clamp_min(TINY) / LIMIT
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, axis, -LIMIT, LIMIT)
