"""The whole network: branches, fusion, BEV encoder, head."""

from typing import Literal

import torch
from torch import Tensor, nn

from vexkd.config import ModelConfig
from vexkd.models.bev_encoder import BevEncoder
from vexkd.models.camera_branch import CameraBranch
from vexkd.models.center_head import CenterHead
from vexkd.models.center_loss import detection_loss
from vexkd.models.fusion import ConvFusion, ModalityGeneralFusion
from vexkd.models.inputs import Detections, Features, Inputs, Output, Targets
from vexkd.models.lidar_branch import LidarBranch
from vexkd.models.map_head import MapHead, segmentation_loss

Task = Literal["detection", "segmentation"]
Level = Literal["low", "high"]


class Perception(nn.Module):
    """A student (one branch) or a teacher (both branches and their fusion) for one task.

    Weights are drawn from torch's global generator: seed it before construction.
    """

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        grid = config.grid
        self.camera = None if config.camera is None else CameraBranch(config.camera, grid)
        self.lidar = None if config.lidar is None else LidarBranch(config.lidar, grid)
        self.fusion: ModalityGeneralFusion | ConvFusion | None = None
        if config.fusion is not None and config.camera is not None and config.lidar is not None:
            kind = ModalityGeneralFusion if config.fusion.kind == "mgfm" else ConvFusion
            size = (grid.height, grid.width)
            self.fusion = kind(config.fusion, size, config.camera.channels, config.lidar.channels)
        self.encoder = BevEncoder(config.encoder, low_channels(config))
        head = CenterHead if task == "detection" else MapHead
        self.head: CenterHead | MapHead = head(config.head, grid, config.encoder.out_channels)
        # The layout that convolutions are quickest in, on CPUs and on GPUs with mixed precision.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, inputs: Inputs) -> Output:
        """Features and raw prediction; a teacher also runs on one sensor, when the other's inputs are None."""
        features = self.features(inputs)
        return Output(features.low, features.high, self.head(features.high), features.query)

    def features(self, inputs: Inputs) -> Features:
        """Everything but the head."""
        low, query = self._low(inputs)
        return Features(low, self.encoder(low), query)

    def _low(self, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
        if self.fusion is None:
            branch = self.camera if self.camera is not None else self.lidar
            assert branch is not None
            return branch(inputs), None
        camera = self.camera(inputs) if self.camera is not None and inputs.images is not None else None
        lidar = self.lidar(inputs) if self.lidar is not None and inputs.points is not None else None
        return self.fusion(camera, lidar)

    def head_from(self, level: Level, feature: Tensor) -> dict[str, Tensor] | Tensor:
        """Run the rest of the network from a low- or high-level feature (B, C, H, W): the raw prediction."""
        return self.head(self.encoder(feature) if level == "low" else feature)

    def decode(self, output: Output) -> Detections:
        """Boxes of a detection output, best first; part of the exported graph."""
        if not isinstance(self.head, CenterHead) or isinstance(output.prediction, Tensor):
            raise ValueError("decode belongs to detection; a segmentation output is its logits")
        return self.head.decode(output.prediction)

    def loss(self, prediction: dict[str, Tensor] | Tensor, targets: Targets) -> dict[str, Tensor]:
        """Task loss of a raw prediction: scalars, of which ``loss`` is the whole."""
        if isinstance(prediction, Tensor):
            if targets.map_labels is None:
                raise ValueError("the segmentation loss needs map_labels")
            return segmentation_loss(prediction, targets.map_labels)
        if targets.boxes is None or targets.labels is None:
            raise ValueError("the detection loss needs boxes and labels")
        return detection_loss(prediction, targets.boxes, targets.labels, self.config)

    def load_pretrained(self) -> None:
        """Initialise the image backbone from ``model.camera.pretrained`` where that is set, at a training's start."""
        if self.camera is not None:
            self.camera.load_pretrained()


def low_channels(config: ModelConfig) -> int:
    """Channels of the low-level BEV feature."""
    for part in (config.fusion, config.camera, config.lidar):
        if part is not None:
            return part.channels
    raise ValueError("a model has a camera or a LiDAR branch")
