"""Distillation as a training stage: what weight 0 is, the cache, the measured ratios, moved run folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from tiny_models import tiny_inputs, tiny_targets
from tiny_runs import Keyframes, recipe

from vexkd.config import AugmentConfig, Config, load_config
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.distillation import load_distiller, median_ratio
from vexkd.training.objective import DistillObjective, gradient_norm
from vexkd.training.run import load_run_config, save_run
from vexkd.training.train import train

pytestmark = pytest.mark.usefixtures("in_memory")


def save_teacher(path: Path) -> Path:
    seed_everything(5, verbose=False)
    config = recipe("mgfm", stage="teacher")
    save_run(path, config, Perception(config.model, config.task).state_dict())
    return path


def distilled(teacher: Path, kind: str = "lidar", train: dict[str, Any] | None = None, **distill: Any) -> Config:
    config = recipe(kind, stage="distill", **(train or {}))
    assert config.distill is not None
    return config.model_copy(update={"distill": config.distill.model_copy(update={"teacher": teacher, **distill})})


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("loss", ["attention", "l2"])
@pytest.mark.parametrize("kind", ["lidar", "camera"])
def test_weight_0_is_the_plain_run_to_the_bit(kind: str, loss: str, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher")
    train(recipe(kind, epochs=3), tmp_path / "plain", progress=False)
    config = distilled(teacher, kind, {"epochs": 3}, weight=0.0, loss=loss)
    train(config, tmp_path / "distilled", progress=False)
    plain, taught = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "distilled"))
    assert plain == taught


@pytest.mark.parametrize("flips", [False, True])
def test_the_cache_changes_nothing(flips: bool, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher")
    found = []
    for cache in (False, True):
        augment = {"augment": {"flip_x": flips, "flip_y": flips}}
        config = distilled(teacher, train={"epochs": 4, **augment}, cache=cache, mask_epochs=2, loss="l2")
        train(config, tmp_path / str(cache), progress=False)
        found.append([row for row in rows(tmp_path / str(cache)) if row["step"] % 3 == 0])
    assert len(found[0]) == len(found[1]) == 4
    for without, within in zip(*found, strict=True):
        assert within == pytest.approx(without, rel=1e-5)


def test_the_cache_is_refused_where_more_than_mirroring_changes_a_keyframe() -> None:
    content = recipe("lidar", stage="distill").model_dump(mode="json")
    content["distill"]["cache"] = True
    content["train"]["augment"] = {"flip_x": True}
    assert Config.model_validate(content).distill is not None
    content["train"]["augment"] = {"flip_x": True, "rotate": 0.1}
    with pytest.raises(ValueError, match=r"distill\.cache=false.*train\.augment"):
        Config.model_validate(content)


def test_ratios_are_those_of_the_gradients() -> None:
    torch.manual_seed(0)
    student, teacher = (Perception(recipe(kind, stage=stage).model, "detection") for kind, stage in PAIR)
    config = recipe("lidar", stage="distill").distill
    assert config is not None
    objective = DistillObjective(student, teacher, config.model_copy(update={"weight": 3.0, "loss": "l2"}))
    inputs = tiny_inputs(teacher.config)
    terms = objective.distiller(inputs, objective.distiller.teacher_features(inputs), tiny_targets())
    measured = objective.measure(terms)

    def norm(loss: torch.Tensor, module: torch.nn.Module) -> float:
        objective.zero_grad()
        loss.backward(retain_graph=True)
        return float(torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]).norm())

    task = norm(terms["task"], student)
    assert measured["kd_ratio"] == pytest.approx(norm(terms["kd"], student) / task, rel=1e-4)
    for level in ("low", "high"):
        expected = 3 * norm(terms[f"kd_{level}"], student) / task
        assert measured[f"kd_ratio_{level}"] == pytest.approx(expected, rel=1e-4)
    expected = norm(terms["mimicry"], objective.masks) / norm(terms["masked"], objective.masks)
    assert measured["mask_ratio"] == pytest.approx(expected, rel=1e-4)


PAIR = (("lidar", "student"), ("mgfm", "teacher"))


def test_gradient_norm_by_hand_leaves_no_gradient() -> None:
    weights = [torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor(3.0))]
    unused = torch.nn.Parameter(torch.zeros(2))
    loss = 3 * weights[0][0] + 4 * weights[1]
    assert gradient_norm(loss, [*weights, unused]) == pytest.approx(5.0)
    assert all(parameter.grad is None for parameter in weights)


def test_ratios_are_logged_reported_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    teacher = save_teacher(tmp_path / "teacher")
    result = train(distilled(teacher, train={"repeat": 4}, weight=1e4, loss="l2"), tmp_path / "run", progress=False)
    measured = [row["kd_ratio"] for row in rows(tmp_path / "run") if "kd_ratio" in row]
    assert [row["step"] for row in rows(tmp_path / "run") if "kd_ratio" in row] == [10]
    report = result["distillation"]
    assert report["kd_ratio"] == measured[0] == median_ratio(tmp_path / "run", "kd_ratio") > 1
    assert report["mask_epochs"] == 2 and report["masks"].keys() == {"low", "high"}
    assert "imitation outweighs the task" in caplog.text and "distill.weight=" in caplog.text


def test_masks_halt_when_they_have_settled(tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher")
    # Masks that hardly move have settled after two epochs.
    result = train(distilled(teacher, train={"epochs": 5}, mask_lr=1e-12, mu=0.0), tmp_path / "run", progress=False)
    learned = ["mask" in row for row in rows(tmp_path / "run") if row["step"] % 3 == 0]
    assert learned == [True, True, False, False, False]
    assert result["distillation"]["masks_settled"] and result["distillation"]["mask_epochs"] == 2


def test_mask_generators_keep_their_learning_rate(tmp_path: Path) -> None:
    from vexkd.training.distillation import distill_objective
    from vexkd.training.module import Stage

    config = distilled(save_teacher(tmp_path / "teacher"), mask_lr=0.5, loss="l2")
    student = Perception(config.model, config.task)
    objective = distill_objective(student, config)
    stage = Stage(config, student, objective, Keyframes())  # type: ignore[arg-type]
    constant = {id(p) for group in stage.parameter_groups() if group["constant"] for p in group["params"]}
    assert constant == {id(p) for p in objective.masks.parameters()}


def test_a_run_finds_its_teacher_from_everywhere_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    save_teacher(Path("runs/teacher"))
    train(distilled(Path("runs/teacher"), train={"epochs": 1}), Path("runs/student"), progress=False)
    # Stored relative to the run, whatever the working folder was.
    stored = load_config(Path("runs/student/config.yaml")).distill
    assert stored is not None and stored.teacher == Path("../teacher")
    monkeypatch.chdir(tmp_path)
    load_distiller(Path("work/runs/student"))
    shutil.move("work/runs", "elsewhere")
    load_distiller(Path("elsewhere/student"))
    found = load_run_config(Path("elsewhere/student")).distill
    assert found is not None and found.teacher == tmp_path / "elsewhere" / "teacher"
    # Going on from the same teacher, named another way, is going on.
    train(distilled(Path("elsewhere/teacher"), train={"epochs": 1}), Path("elsewhere/student"), resume=True)
    shutil.rmtree("elsewhere/teacher")
    with pytest.raises(UserError, match="elsewhere/teacher is no run folder"):
        load_distiller(Path("elsewhere/student"))


def test_mirrors_are_all_views_that_flips_can_draw() -> None:
    import numpy as np

    from vexkd.data.augment import mirrors, scene_transform, view_name

    config = AugmentConfig(flip_x=True, flip_y=True)
    names = {view_name("k", matrix) for matrix in mirrors(config)}
    assert names == {"k", "k-x", "k-y", "k-xy"}
    drawn = {view_name("k", scene_transform(config, np.random.default_rng(seed))) for seed in range(40)}
    assert drawn == names
    assert [view_name("k", matrix) for matrix in mirrors(AugmentConfig(flip_y=True))] == ["k", "k-y"]
    assert [view_name("k", matrix) for matrix in mirrors(AugmentConfig())] == ["k"]
