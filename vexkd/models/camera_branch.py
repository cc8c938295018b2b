"""Image backbone (a transformers ResNet) and the neck that brings its levels to one stride."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ResNetBackbone, ResNetConfig

from vexkd.config import CameraConfig
from vexkd.geometry import BevGrid
from vexkd.models.image_preparation import ImagePreparation
from vexkd.models.inputs import Inputs
from vexkd.models.layers import conv_bn_relu
from vexkd.models.lift_splat import LiftSplat
from vexkd.plugins.errors import UserError

STAGES = {8: ("stage2", "stage3", "stage4"), 16: ("stage3", "stage4")}
"""Backbone stages the neck reads, by its stride; stages 2, 3, 4 have strides 8, 16, 32."""


class BackboneSize(NamedTuple):
    """Widths of a ResNet's stem and stages, residual layers per stage, kind of layer."""

    stem: int
    widths: list[int]
    depths: list[int]
    layer: str


SIZES = {
    "tiny": BackboneSize(16, [16, 32, 64, 96], [1, 1, 1, 1], "basic"),
    "resnet18": BackboneSize(64, [64, 128, 256, 512], [2, 2, 2, 2], "basic"),
    "resnet34": BackboneSize(64, [64, 128, 256, 512], [3, 4, 6, 3], "basic"),
    "resnet50": BackboneSize(64, [256, 512, 1024, 2048], [3, 4, 6, 3], "bottleneck"),
}
"""Backbones by name; ``tiny`` is a narrow one for demonstrations on a CPU."""


def build_backbone(config: CameraConfig) -> ResNetBackbone:
    """The ResNet that ``config.backbone`` names, with random weights and those outputs that the neck reads."""
    size = SIZES[config.backbone]
    arguments: dict[str, Any] = {"out_features": list(STAGES[config.stride])}
    return ResNetBackbone(
        ResNetConfig(
            embedding_size=size.stem,
            hidden_sizes=size.widths,
            depths=size.depths,
            layer_type=size.layer,
            **arguments,
        )
    )


class Neck(nn.Module):
    """Top-down pathway of a feature pyramid that keeps only its finest level."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs)
        self.output = conv_bn_relu(channels, channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Join levels, finest first, as (M, channels, h, w) at the finest level's size."""
        *finer, coarsest = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        result = coarsest
        for level in reversed(finer):
            result = level + functional.interpolate(result, scale_factor=2.0, mode="nearest")
        return self.output(result)


class CameraBranch(nn.Module):
    """Images to the camera's low-level BEV feature."""

    def __init__(self, config: CameraConfig, grid: BevGrid) -> None:
        super().__init__()
        self.config = config
        self.preparation = ImagePreparation(config.image_size)
        self.backbone = build_backbone(config)
        self.neck = Neck(SIZES[config.backbone].widths[-len(STAGES[config.stride]) :], config.neck_channels)
        self.view = LiftSplat(config, grid)

    def forward(self, inputs: Inputs) -> Tensor:
        """BEV feature (B, channels, H, W) from images and calibration."""
        if inputs.images is None or inputs.rays is None or inputs.origins is None:
            raise ValueError("the camera branch needs images, rays and origins")
        pixels = self.preparation(inputs.images, inputs.image_transforms)
        # Channels last is what CPU convolutions are quickest in, and free to ask for elsewhere.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.neck(list(self.backbone(pixels).feature_maps))
        return self.view(features, inputs.rays, inputs.origins, inputs.images.shape[0])

    def load_pretrained(self) -> None:
        """Initialise the backbone from ``config.pretrained`` (safetensors only); nothing happens where it is None.

        Raises:
            UserError: the weights cannot be read or belong to another architecture.
        """
        name = self.config.pretrained
        if name is None:
            return
        try:
            loaded = ResNetBackbone.from_pretrained(name, use_safetensors=True)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"model.camera.pretrained: cannot read a ResNet from {name!r}: {reason}") from error
        try:
            self.backbone.load_state_dict(loaded.state_dict())
        except RuntimeError as error:
            raise UserError(
                f"model.camera.pretrained: {name!r} is no {self.config.backbone} "
                f"(its stages are {loaded.config.hidden_sizes} wide, {loaded.config.depths} deep)"
            ) from error
