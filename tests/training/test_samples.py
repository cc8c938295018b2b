"""Which keyframes a training opens."""

from typing import Any

from tiny_runs import Keyframes, recipe

from vexkd.training.train import train


def test_the_number_of_scenes_bounds_training_alone(monkeypatch, out):
    opened: list[tuple[str, int | None]] = []

    def dataset(data: Any, split: str, images: bool, map_labels: bool, scenes: int | None = None) -> Keyframes:
        opened.append((split, scenes))
        return Keyframes()

    monkeypatch.setattr("vexkd.training.samples.NuScenesDataset", dataset)
    monkeypatch.setattr("vexkd.training.train.evaluate_model", lambda *args, **kwargs: {"mAP": 0.25})
    config = recipe("lidar", epochs=1)
    data = config.data.model_copy(update={"train_split": "all", "val_split": "all", "train_scenes": 2})
    train(config.model_copy(update={"data": data}), out, progress=False)
    assert opened == [("all", 2), ("all", None)]
