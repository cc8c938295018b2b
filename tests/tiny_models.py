"""Tiny models and seeded batches that the tests of networks, distillation and export share."""

import numpy as np
import torch
from numpy.typing import NDArray

from vexkd.config import CameraConfig, EncoderConfig, FusionConfig, HeadConfig, LidarConfig, ModelConfig
from vexkd.geometry import BevGrid
from vexkd.models.frustum import ray_inputs
from vexkd.models.inputs import Inputs, Targets

GRID = BevGrid(x=(-12.8, 12.8), y=(-6.4, 6.4), cell=1.6)
"""16 cells along x, 8 along y: a rectangle, so that swapped axes show."""

RAW_SIZE = (48, 80)


def tiny_config(kind: str, grid: BevGrid = GRID, max_boxes: int = 20) -> ModelConfig:
    """``lidar`` or ``camera`` student, ``mgfm`` or ``conv`` teacher."""
    camera = CameraConfig(
        image_size=(32, 64), backbone="tiny", neck_channels=8, stride=8, depth=(1.0, 13.0, 1.0), channels=6
    )
    lidar = LidarConfig(pillar=grid.cell / 2, point_channels=8, layers=1, channels=10)
    fusion = FusionConfig(kind="conv" if kind == "conv" else "mgfm", channels=8, blocks=2, heads=2, keys=3)
    teacher = kind in ("mgfm", "conv")
    return ModelConfig(
        grid=grid,
        camera=camera if teacher or kind == "camera" else None,
        lidar=lidar if teacher or kind == "lidar" else None,
        fusion=fusion if teacher else None,
        encoder=EncoderConfig(channels=(8, 12), layers=1, out_channels=16),
        head=HeadConfig(channels=8, max_boxes=max_boxes),
    )


def calibration(batch: int = 1, cameras: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intrinsics (B, V, 3, 3) and camera_to_ego (B, V, 4, 4): cameras at 1.5 m that look around evenly from ahead."""
    height, width = RAW_SIZE
    intrinsics = np.array([[0.5 * width, 0, width / 2], [0, 0.5 * width, height / 2], [0, 0, 1]])
    forward = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    poses = np.tile(np.eye(4), (batch, cameras, 1, 1))
    for camera in range(cameras):
        angle = 2 * np.pi * camera / cameras
        cos, sin = np.cos(angle), np.sin(angle)
        poses[:, camera, :3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ forward
        poses[:, camera, :3, 3] = [0.2, 0.1, 1.5]
    return np.tile(intrinsics, (batch, cameras, 1, 1)), poses


def tiny_inputs(config: ModelConfig, batch: int = 2, points: int = 300, cameras: int = 2, seed: int = 0) -> Inputs:
    """Random points and images with sound calibration, for the sensors that ``config`` reads."""
    generator = torch.Generator().manual_seed(seed)
    inputs = Inputs()
    if config.lidar is not None:
        low, high = torch.tensor(config.grid.range[:3]), torch.tensor(config.grid.range[3:])
        cloud = torch.rand(batch, points, 5, generator=generator)
        cloud[..., :3] = low + cloud[..., :3] * (high - low)
        inputs = inputs._replace(points=cloud, counts=torch.full((batch,), points - 20, dtype=torch.int32))
    if config.camera is not None:
        rays, origins = ray_inputs(config.camera, *calibration(batch, cameras), RAW_SIZE)
        size = (batch, cameras, *RAW_SIZE, 3)
        inputs = inputs._replace(
            images=torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
            rays=torch.from_numpy(rays),
            origins=torch.from_numpy(origins),
        )
    return inputs


def tiny_boxes(batch: int = 2) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Boxes and labels of objects apart from each other; one velocity is unknown."""
    boxes = torch.tensor(
        [
            [5.3, -3.1, -0.4, 4.6, 1.9, 1.7, 0.7, 3.0, -1.0],
            [-8.2, 4.4, 0.3, 0.7, 0.6, 1.8, -2.9, 0.5, 0.2],
            [0.1, 0.1, 1.0, 10.5, 2.9, 3.4, 3.1, float("nan"), float("nan")],
        ]
    )
    labels = torch.tensor([0, 8, 3])
    return [boxes[: 3 - i % 2] for i in range(batch)], [labels[: 3 - i % 2] for i in range(batch)]


def tiny_targets(batch: int = 2, seed: int = 0) -> Targets:
    """Targets of both tasks."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(0, 2, (batch, 6, 200, 200), dtype=torch.uint8, generator=generator)
    return Targets(*tiny_boxes(batch), maps)
