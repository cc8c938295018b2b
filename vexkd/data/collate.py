"""Samples to the tensors of a batch: inputs of the model, rays from calibration, and targets.

B samples, V cameras, N points per sample, M boxes of a sample.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vexkd.config import ModelConfig
from vexkd.data.augment import ImageChange
from vexkd.data.sample import Sample
from vexkd.geometry import POINT_SIZE
from vexkd.models.frustum import ray_inputs
from vexkd.models.inputs import Inputs, Targets
from vexkd.plugins.errors import UserError
from vexkd.plugins.frustum import image_transform

POINT_STEP = 4096
"""Point capacities of batches are multiples of this, so that a GPU sees few different shapes."""


class Batch(NamedTuple):
    """What one training step takes.

    Attributes:
        inputs: of the model.
        targets: ground truth.
        tokens: of the keyframes.
        teacher_inputs: of a teacher, where one takes part that sees every batch.
        views: names of the keyframes as they were mirrored, see :func:`vexkd.data.augment.view_name`.
    """

    inputs: Inputs
    targets: Targets
    tokens: tuple[str, ...]
    teacher_inputs: Inputs | None = None
    views: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device; what inputs of student and teacher share is moved once."""
        moved: dict[int, Any] = {}

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                if id(value) not in moved:
                    moved[id(value)] = value.to(device, non_blocking=True)
                return moved[id(value)]
            return [move(item) for item in value] if isinstance(value, list) else value

        teacher = None if self.teacher_inputs is None else Inputs(*map(move, self.teacher_inputs))
        return self._replace(
            inputs=Inputs(*map(move, self.inputs)), targets=Targets(*map(move, self.targets)), teacher_inputs=teacher
        )


def collate(
    samples: Sequence[Sample],
    model: ModelConfig,
    min_lidar_points: int = 0,
    image_changes: Sequence[Sequence[ImageChange]] | None = None,
    teacher: ModelConfig | None = None,
) -> Batch:
    """Gather samples into a batch.

    Args:
        samples: with the images and points that the models read.
        model: says which sensors are needed, the BEV grid and the camera's geometry.
        min_lidar_points: annotated boxes with fewer LiDAR points are no targets.
        image_changes: augmentation of each sample's V images.
        teacher: gather inputs for this model, too.

    Raises:
        UserError: images of several sizes in one batch.
    """
    sensors = Inputs()
    if any(config.camera is not None for config in (model, teacher) if config is not None):
        sensors = sensors._replace(images=torch.from_numpy(_stacked_images(samples)))
    if any(config.lidar is not None for config in (model, teacher) if config is not None):
        points, counts = pad_points([sample.points for sample in samples])
        sensors = sensors._replace(points=torch.from_numpy(points), counts=torch.from_numpy(counts))
    return Batch(
        _inputs_for(model, sensors, samples, image_changes),
        _targets(samples, min_lidar_points),
        tuple(sample.token for sample in samples),
        None if teacher is None else _inputs_for(teacher, sensors, samples, image_changes),
    )


def pad_points(clouds: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Point clouds (N_b, 5) as one zero-padded array (B, N, 5) and their counts (B,) int32.

    N is the largest count rounded up to a multiple of ``POINT_STEP``, at least one step.
    """
    counts = np.array([len(cloud) for cloud in clouds], np.int32)
    capacity = max(1, -(-int(counts.max()) // POINT_STEP)) * POINT_STEP
    points = np.zeros((len(clouds), capacity, POINT_SIZE), np.float32)
    for row, cloud in zip(points, clouds, strict=True):
        row[: len(cloud)] = cloud
    return points, counts


def _stacked_images(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    sizes = {sample.images.shape for sample in samples}
    if len(sizes) > 1:
        raise UserError(f"images of one batch must have one size, got {sorted(sizes)}; set train.batch_size=1")
    return np.stack([sample.images for sample in samples])


def _inputs_for(
    model: ModelConfig,
    sensors: Inputs,
    samples: Sequence[Sample],
    image_changes: Sequence[Sequence[ImageChange]] | None,
) -> Inputs:
    """The sensors that a model reads, and its cameras' rays."""
    inputs = sensors if model.lidar is not None else sensors._replace(points=None, counts=None)
    if model.camera is None or sensors.images is None:
        return inputs._replace(images=None)
    height, width = sensors.images.shape[2:4]
    transforms = None
    if image_changes is not None:
        size = model.camera.image_size
        fixed = image_transform((height, width), size)
        transforms = np.array([[change.matrix(size) @ fixed for change in changes] for changes in image_changes])
    rays, origins = ray_inputs(
        model.camera,
        np.stack([sample.intrinsics for sample in samples]),
        np.stack([sample.camera_to_ego for sample in samples]),
        (height, width),
        transforms,
    )
    return inputs._replace(
        rays=torch.from_numpy(rays),
        origins=torch.from_numpy(origins),
        image_transforms=None if transforms is None else torch.from_numpy(transforms.astype(np.float32)).flatten(0, 1),
    )


def _targets(samples: Sequence[Sample], min_lidar_points: int) -> Targets:
    kept = [sample.num_points >= min_lidar_points for sample in samples]
    maps = [sample.map_labels for sample in samples if sample.map_labels is not None]
    return Targets(
        boxes=[torch.from_numpy(sample.boxes[keep]) for sample, keep in zip(samples, kept, strict=True)],
        labels=[torch.from_numpy(sample.labels[keep]) for sample, keep in zip(samples, kept, strict=True)],
        map_labels=torch.from_numpy(np.stack(maps)) if len(maps) == len(samples) else None,
    )
