"""A few keyframes in memory and tiny recipes, for tests that train."""

from typing import Any

import numpy as np
from tiny_models import GRID, RAW_SIZE, calibration, tiny_config

from vexkd.config import Config, parse_config
from vexkd.data.sample import Sample


def keyframe(number: int) -> Sample:
    """A keyframe whose boxes are full of points; another number gives another scene."""
    rng = np.random.default_rng(number)
    boxes = np.zeros((4, 9), np.float32)
    boxes[:, :3] = rng.uniform([-11, -5, -1], [11, 5, 0.5], (4, 3))
    boxes[:, 3:6] = [[4.5, 1.9, 1.6], [0.7, 0.6, 1.7], [4.5, 1.9, 1.6], [0.7, 0.6, 1.7]]
    boxes[:, 6] = rng.uniform(-3, 3, 4)
    boxes[:, 7:] = rng.normal(size=(4, 2))
    points = np.zeros((100 + 40 * number, 5), np.float32)
    points[:, :3] = rng.uniform([-12, -6, -2], [12, 6, 1], (len(points), 3))
    points[:80, :3] = np.repeat(boxes[:, :3], 20, axis=0) + rng.normal(0, 0.2, (80, 3))
    intrinsics, poses = calibration()
    return Sample(
        token=f"keyframe-{number}",
        timestamp=number,
        points=points,
        images=rng.integers(0, 256, (2, *RAW_SIZE, 3), dtype=np.uint8),
        intrinsics=intrinsics[0],
        camera_to_ego=poses[0],
        ego_to_global=np.eye(4),
        boxes=boxes,
        labels=np.array([0, 8, 0, 8]),
        num_points=np.array([20, 20, 20, 0]),
        map_labels=(rng.random((6, 200, 200)) < 0.4).astype(np.uint8),
    )


class Keyframes:
    """Stands for a NuScenesDataset of three keyframes."""

    def __init__(self, count: int = 3) -> None:
        self.samples = [keyframe(number) for number in range(count)]
        self.tokens = [sample.token for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def recipe(kind: str = "lidar", task: str = "detection", stage: str = "student", **train: Any) -> Config:
    """A config of two epochs over the three keyframes."""
    content: dict[str, Any] = {
        "task": task,
        "data": {"workers": 0},
        "model": tiny_config(kind, GRID).model_dump(mode="json"),
        "train": {"stage": stage, "epochs": 2, "batch_size": 1, "lr": 1e-3, **train},
    }
    if stage == "distill":
        content["distill"] = {"mask_channels": 8, "heads": 2, "keys": 2, "blocks": 1}
    return parse_config(content, "recipe")
