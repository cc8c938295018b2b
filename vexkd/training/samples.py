"""Training examples: keyframes, drawn by the sampler, augmented and gathered in the data workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from nuscenes.eval.detection.utils import category_to_detection_name
from torch.utils.data import DataLoader, Dataset

from vexkd.classes import DETECTION_CLASSES
from vexkd.config import Config, ModelConfig
from vexkd.data.augment import (
    ImageChange,
    changes_images,
    changes_scene,
    draw_image_change,
    scene_transform,
    transform_scene,
    view_name,
)
from vexkd.data.collate import Batch, collate
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.training.sampling import Draw, TrainingSampler


class Example(NamedTuple):
    """A sample, perhaps augmented.

    Attributes:
        sample: with the augmentation of the scene applied.
        image_changes: the augmentation of its V images, None where that is switched off.
        view: names the keyframe as it was mirrored, see :func:`vexkd.data.augment.view_name`.
    """

    sample: Sample
    image_changes: list[ImageChange] | None
    view: str


@dataclass(frozen=True)
class Examples(Dataset[Example]):
    """Maps a draw of the sampler to an example; the draw alone seeds the augmentation."""

    dataset: NuScenesDataset
    config: Config

    def __getitem__(self, draw: Draw) -> Example:
        sample = self.dataset[draw.index]
        augment = self.config.train.augment
        rng = np.random.default_rng([self.config.train.seed, draw.epoch, draw.position])
        view = sample.token
        if changes_scene(augment):
            matrix = scene_transform(augment, rng)
            sample, view = transform_scene(sample, matrix), view_name(view, matrix)
        if not changes_images(augment):
            return Example(sample, None, view)
        return Example(sample, [draw_image_change(augment, rng) for _ in range(len(sample.images))], view)


def open_dataset(
    config: Config, split: str, teacher: ModelConfig | None = None, scenes: int | None = None
) -> NuScenesDataset:
    """The data set of a config with what its model, its task and a teacher need; see there for ``scenes``.

    Raises:
        UserError: see :class:`NuScenesDataset`.
    """
    images = any(model is not None and model.camera is not None for model in (config.model, teacher))
    return NuScenesDataset(config.data, split, images=images, map_labels=config.task == "segmentation", scenes=scenes)


def training_loader(
    dataset: NuScenesDataset, config: Config, teacher: ModelConfig | None = None, rank: int = 0, world: int = 1
) -> DataLoader[Batch]:
    """Batches of this process; an incomplete last batch is left out unless it is the only one."""
    train = config.train
    classes = keyframe_classes(dataset, config.data.min_lidar_points) if train.class_balanced else None
    sampler = TrainingSampler(len(dataset), train.seed, train.repeat, classes, rank, world)
    # A single keyframe in memory needs nobody to load it.
    workers = 0 if config.data.cache and len(dataset) == 1 else config.data.workers
    return DataLoader(
        Examples(dataset, config),  # type: ignore[arg-type]
        batch_size=train.batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=len(sampler) >= train.batch_size,
        collate_fn=partial(collate_examples, config=config, teacher=teacher),
        pin_memory=torch.cuda.is_available(),
    )


def collate_examples(examples: Sequence[Example], config: Config, teacher: ModelConfig | None) -> Batch:
    """Gather examples into a batch; all of them have image augmentations or none has."""
    changes = [example.image_changes for example in examples if example.image_changes is not None]
    samples = [example.sample for example in examples]
    batch = collate(samples, config.model, config.data.min_lidar_points, changes or None, teacher)
    return batch._replace(views=tuple(example.view for example in examples))


def keyframe_classes(dataset: NuScenesDataset, min_lidar_points: int) -> list[set[int]]:
    """Detection classes of each keyframe's targets, from the tables alone: boxes with fewer points are none."""
    labels = {name: label for label, name in enumerate(DETECTION_CLASSES)}

    def classes(token: str) -> set[int]:
        records = (dataset.nusc.get("sample_annotation", t) for t in dataset.nusc.get("sample", token)["anns"])
        targets = (record for record in records if record["num_lidar_pts"] >= min_lidar_points)
        names = (category_to_detection_name(record["category_name"]) for record in targets)
        return {labels[name] for name in names if name is not None}

    return [classes(token) for token in dataset.tokens]
