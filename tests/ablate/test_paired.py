"""Rows of one seed differ in nothing but the row: the student's first weights and the order of keyframes are equal."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from tiny_runs import Keyframes, recipe

from vexkd.config import Config
from vexkd.models.perception import Perception
from vexkd.training.run import save_run
from vexkd.training.train import train


class Begun(Exception):
    """The training has come to its first step."""


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Trains up to the first step: the student's weights there, and the keyframes of two epochs."""
    monkeypatch.setattr("vexkd.training.train.open_dataset", lambda *args, **kwargs: Keyframes())

    def first(config: Config, name: str) -> tuple[dict[str, torch.Tensor], list[int]]:
        found = {}

        def fit(self, stage, **kwargs):
            found["weights"] = {key: value.clone() for key, value in stage.model.state_dict().items()}
            stage.trainer = self
            sampler = stage.train_dataloader().sampler
            order = []
            for epoch in (0, 1):
                sampler.set_epoch(epoch)
                order += [draw.index for draw in sampler]
            found["order"] = order
            raise Begun

        monkeypatch.setattr(Trainer, "fit", fit)
        with pytest.raises(Begun):
            train(config, tmp_path / name, progress=False)
        return found["weights"], found["order"]

    return first


@pytest.mark.parametrize("mask", ["learned", "whole"])
@pytest.mark.parametrize("loss", ["attention", "l2"])
def test_a_distilled_student_starts_as_the_plain_one_of_its_seed(begin, tmp_path: Path, mask: str, loss: str) -> None:
    teacher = recipe("mgfm", stage="teacher")
    save_run(tmp_path / "teacher", teacher, Perception(teacher.model, teacher.task).state_dict())
    config = recipe("lidar", stage="distill", seed=3)
    told = {"teacher": tmp_path / "teacher", "mask": mask, "loss": loss}
    config = config.model_copy(update={"distill": config.distill.model_copy(update=told)})
    weights, order = begin(recipe("lidar", seed=3), "plain")
    taught, same_order = begin(config, "distilled")
    assert weights.keys() == taught.keys()
    assert all(torch.equal(weights[name], taught[name]) for name in weights)
    assert order == same_order
    other, _ = begin(recipe("lidar", seed=4), "other")
    assert any(not torch.equal(weights[name], other[name]) for name in weights)
