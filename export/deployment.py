"""The module that is traced: one sample, the arrays of a bundle's manifest in and out."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vexkd.config import Config
from vexkd.export.parity import DENSE_OUTPUTS
from vexkd.models.center_head import decode
from vexkd.models.inputs import Inputs
from vexkd.models.perception import Perception

DETECTION_OUTPUTS = ("boxes", "scores", "labels")
SEGMENTATION_OUTPUTS = ("logits",)


class Deployment(nn.Module):
    """A model for one sample without a batch axis; inputs in the order of :func:`input_names`."""

    def __init__(self, model: Perception) -> None:
        super().__init__()
        self.model = model
        self.names = input_names(model.camera is not None, model.lidar is not None)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Boxes (K, 9), scores (K), labels (K) and the dense outputs; or logits (6, 200, 200)."""
        given = dict(zip(self.names, inputs, strict=True))
        batch = Inputs(
            # A view, as the model's own of its cameras is: the exporter folds the two, and nothing but PrepareImages
            # reads the images, which TensorRT takes as uint8 nowhere else.
            images=given["images"].view(1, *given["images"].shape) if "images" in given else None,
            points=given["points"][None] if "points" in given else None,
            counts=given.get("count"),
            rays=given.get("rays"),
            origins=given.get("origins"),
        )
        output = self.model(batch)
        if isinstance(output.prediction, Tensor):
            return (output.prediction[0].float(),)
        probability, codes = output.prediction["heatmap"].float().sigmoid(), output.prediction["boxes"].float()
        boxes, scores, labels = decode(probability, codes, self.model.config.head, self.model.config.grid)
        return boxes[0], scores[0], labels[0], probability, codes


def input_names(camera: bool, lidar: bool) -> tuple[str, ...]:
    """Inputs of a model with these sensors, in the order of the exported graph."""
    return (
        *(("images", "rays", "origins") if camera else ()),
        *(("points", "count") if lidar else ()),
    )


def output_names(config: Config) -> tuple[str, ...]:
    """Outputs of a deployed model for this task, in the order of the exported graph."""
    return DETECTION_OUTPUTS if config.task == "detection" else SEGMENTATION_OUTPUTS


def traced_names(config: Config) -> tuple[str, ...]:
    """Outputs of the traced module, in its order."""
    return (*DETECTION_OUTPUTS, *DENSE_OUTPUTS) if config.task == "detection" else SEGMENTATION_OUTPUTS


@torch.no_grad()
def run_torch(module: Deployment, inputs: tuple[Tensor, ...], names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Outputs by name."""
    return {name: value.numpy() for name, value in zip(names, module(*inputs), strict=True)}
