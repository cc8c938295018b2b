"""Impossible sizes are refused in one line that names the setting."""

import pytest

from vexkd.config import parse_config
from vexkd.plugins.errors import UserError


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"lidar": {"pillar": 0.3}}, "model.lidar.pillar"),
        ({"camera": {"image_size": [100, 200]}}, "camera.image_size"),
        ({"camera": {"depth": [10.0, 5.0, 1.0]}}, "camera.depth"),
        ({"camera": {"z": [10.0, -10.0]}}, "camera.z"),
        ({"lidar": {}, "encoder": {"channels": [1, 2, 3]}}, "encoder.out_channels"),
        ({"lidar": {}, "encoder": {"channels": []}}, "encoder.channels"),
        ({"lidar": {}, "grid": {"x": [0, 64.8], "y": [0, 64.8]}}, "81 x 81"),
        ({"lidar": {}, "grid": {"x": [0, 6.4], "y": [0, 1.6]}, "head": {"max_boxes": 161}}, "head.max_boxes"),
        ({"lidar": {}, "camera": {}, "fusion": {"channels": 30}}, "fusion.heads"),
        ({}, "model.camera, model.lidar or both"),
    ],
)
def test_impossible_models(model: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told.replace(".", r"\.")):
        parse_config({"task": "detection", "train": {"stage": "student"}, "model": model}, "test")


@pytest.mark.parametrize(
    ("distill", "told"),
    [
        ({"levels": ["low", "low"]}, "distill.levels"),
        ({"levels": []}, "distill.levels"),
        ({"mask_channels": 30}, "distill.heads"),
    ],
)
def test_impossible_distillation(distill: dict[str, object], told: str) -> None:
    content = {"task": "detection", "train": {"stage": "distill"}, "model": {"lidar": {}}, "distill": distill}
    with pytest.raises(UserError, match=told.replace(".", r"\.")):
        parse_config(content, "test")
