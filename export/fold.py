"""Folds batch normalisation into the convolutions and linear layers before it, for inference."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Foldable = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
FOLDABLE = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@torch.no_grad()
def fold_batch_norms(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Fold every batch normalisation that directly follows a foldable layer; returns how many.

    What follows what is seen in one forward pass of ``inputs``. That a layer's output goes nowhere else is not seen:
    compare the model's outputs before and after. The model must be in evaluation mode, and is changed in place.
    """
    pairs = _follow(model, inputs)
    layers = [layer for layer, _ in pairs]
    names = {module: name for name, module in model.named_modules()}
    folded = 0
    for layer, norm in pairs:
        if layers.count(layer) == 1:
            _fold(layer, norm)
            model.set_submodule(names[norm], nn.Identity())
            folded += 1
    return folded


def _follow(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[tuple[Foldable, _BatchNorm]]:
    made: list[tuple[Tensor, Foldable]] = []
    pairs: list[tuple[Foldable, _BatchNorm]] = []

    def after(layer: Foldable, _: tuple[Tensor, ...], output: Tensor) -> None:
        made.append((output, layer))

    def before(norm: _BatchNorm, given: tuple[Tensor, ...]) -> None:
        pairs.extend((layer, norm) for output, layer in made[-1:] if output is given[0])

    hooks = []
    for module in model.modules():
        if isinstance(module, FOLDABLE):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, _BatchNorm):
            hooks.append(module.register_forward_pre_hook(before))
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _fold(layer: Foldable, norm: _BatchNorm) -> None:
    """Weights and bias of y = (W x + b - mean) * gamma / sqrt(var + eps) + beta, in float64 and rounded once."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = (variance.double() + norm.eps).rsqrt()
    shift = -mean.double() * scale
    if norm.affine:
        scale = scale * norm.weight.double()
        shift = -mean.double() * scale + norm.bias.double()
    if layer.bias is not None:
        shift = shift + layer.bias.double() * scale
    weight = layer.weight
    if isinstance(layer, nn.ConvTranspose2d):
        # (inputs, outputs / groups, h, w): outputs of group g lie in the rows of group g.
        per_group = scale.view(layer.groups, 1, -1, 1, 1)
        folded = (weight.double().view(layer.groups, -1, *weight.shape[1:]) * per_group).view(weight.shape)
    else:
        folded = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    layer.weight = nn.Parameter(folded.to(weight.dtype), requires_grad=False)
    layer.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
