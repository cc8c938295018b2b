"""Whole trainings of a few steps: determinism, resume, run folder, checks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from tiny_runs import Keyframes, recipe

from vexkd.config import Config
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.callbacks import SaveRun
from vexkd.training.distillation import load_distiller
from vexkd.training.module import Stage
from vexkd.training.run import load_run, save_run
from vexkd.training.train import train

pytestmark = pytest.mark.usefixtures("in_memory")

AUGMENTED = {"augment": {"rotate": 0.3, "scale": (0.9, 1.1), "image_rotate": 5.0, "flip_x": True}}


def run(config: Config, out: Path, **kwargs: Any) -> dict[str, Any]:
    return train(config, out, progress=False, **kwargs)


def interrupt(monkeypatch: pytest.MonkeyPatch, after_epoch: int) -> None:
    """Let the training die when the checkpoint of an epoch has been written."""
    saved = SaveRun.on_train_epoch_end

    def save_and_die(self: SaveRun, trainer: Any, pl_module: Stage) -> None:
        saved(self, trainer, pl_module)
        if trainer.current_epoch == after_epoch:
            raise RuntimeError("power cut")

    monkeypatch.setattr(SaveRun, "on_train_epoch_end", save_and_die)


def same_files(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("model.safetensors", "log.jsonl"))


def test_a_run_folder_holds_what_the_design_says(out):
    result = run(recipe(ema=0.9), out)
    names = {path.name.partition(".out.")[0] for path in out.iterdir()}
    assert names == {"config.yaml", "model.safetensors", "last.ckpt", "metrics.json", "log.jsonl", "events"}
    assert json.loads((out / "metrics.json").read_text()) == result
    assert result["metrics"] == {"mAP": 0.25}
    assert {"seconds", "machine", "commit", "split", "resumed"} <= result.keys()
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert {"loss", "heatmap", "box", "lr", "epoch"} <= rows[0].keys()
    config, model = load_run(out)
    assert config == recipe(ema=0.9)
    assert not model.training


def test_two_runs_have_the_same_bits_whatever_the_number_of_workers(tmp_path):
    for kind in ("lidar", "camera"):
        config = recipe(kind, **AUGMENTED)
        workers = config.model_copy(update={"data": config.data.model_copy(update={"workers": 2})})
        run(config, tmp_path / f"{kind}-one")
        run(workers, tmp_path / f"{kind}-other")
        assert same_files(tmp_path / f"{kind}-one", tmp_path / f"{kind}-other")
    run(recipe("lidar", seed=1, **AUGMENTED), tmp_path / "seed")
    assert not same_files(tmp_path / "lidar-one", tmp_path / "seed")


def test_an_interrupted_and_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    config = recipe(epochs=4, ema=0.9, schedule="cosine", evaluate_every=1, **AUGMENTED)
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, after_epoch=1)
        with pytest.raises(RuntimeError, match="power cut"):
            run(config, tmp_path / "cut")
    # Lines of steps after the checkpoint, the last cut short: the resumed run makes those steps again.
    with (tmp_path / "cut" / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "epoch": 2}\n{"step": 9, "ep')
    assert run(config, tmp_path / "cut", resume=True)["resumed"]
    assert same_files(tmp_path / "whole", tmp_path / "cut")


def test_a_resumed_distillation_ends_with_the_same_bits(tmp_path, monkeypatch):
    save_teacher(tmp_path / "teacher")
    config = recipe("lidar", stage="distill", epochs=3)
    config = config.model_copy(update={"distill": config.distill.model_copy(update={"teacher": tmp_path / "teacher"})})
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, after_epoch=0)
        with pytest.raises(RuntimeError, match="power cut"):
            run(config, tmp_path / "cut")
    state = torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in state)
    run(config, tmp_path / "cut", resume=True)
    assert same_files(tmp_path / "whole", tmp_path / "cut")
    assert (tmp_path / "whole" / "masks.safetensors").read_bytes() == (
        tmp_path / "cut" / "masks.safetensors"
    ).read_bytes()


def save_teacher(path: Path) -> None:
    seed_everything(5, verbose=False)
    config = recipe("mgfm", stage="teacher")
    save_run(path, config, Perception(config.model, config.task).state_dict())


def test_a_distilled_student_is_a_plain_student_and_its_masks_halt(tmp_path):
    save_teacher(tmp_path / "teacher")
    config = recipe("camera", stage="distill", epochs=3)
    told = {"teacher": tmp_path / "teacher", "mask_epochs": 1}
    config = config.model_copy(update={"distill": config.distill.model_copy(update=told)})
    run(config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert "mask" in rows[0] and "mask" not in rows[1]
    assert all("kd_low" in row and "kd_high" in row for row in rows)
    plain = Perception(config.model, config.task).state_dict()
    assert load_run(tmp_path / "run")[1].state_dict().keys() == plain.keys()
    distiller = load_distiller(tmp_path / "run")
    trained = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in distiller.masks.state_dict().items():
        assert torch.equal(value, trained[f"objective.distiller.masks.{name}"])


def test_masks_stand_still_once_halted(tmp_path):
    save_teacher(tmp_path / "teacher")
    weights = []
    for epochs in (1, 2):
        # A constant schedule: the length of the run does not change its first epoch.
        config = recipe("lidar", stage="distill", epochs=epochs, schedule="constant")
        told = {"teacher": tmp_path / "teacher", "mask_epochs": 1}
        config = config.model_copy(update={"distill": config.distill.model_copy(update=told)})
        run(config, tmp_path / f"run{epochs}")
        weights.append(load_distiller(tmp_path / f"run{epochs}"))
    first, second = (part.masks.state_dict() for part in weights)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(weights[0].student.head.shared[0].weight, weights[1].student.head.shared[0].weight)


@pytest.mark.parametrize("kind", ["lidar", "camera", "mgfm", "conv"])
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_every_kind_of_model_trains_for_both_tasks(kind, task, out):
    stage = "student" if kind in ("lidar", "camera") else "teacher"
    run(recipe(kind, task, stage, epochs=1, repeat=2, batch_size=2, **AUGMENTED), out)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3
    assert all(value == value and abs(value) < 1e4 for value in rows[-1].values())


@pytest.mark.parametrize("kind", ["camera", "mgfm"])
def test_half_precision_trains(kind, out):
    stage = "student" if kind == "camera" else "teacher"
    run(recipe(kind, stage=stage, epochs=1, precision="bf16-mixed", ema=0.9), out)
    assert load_run(out)[1].head.shared[0].weight.dtype == torch.float32


def test_training_lowers_the_loss(out):
    run(recipe("lidar", epochs=5, repeat=10, lr=5e-3), out)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"]


def test_the_average_is_what_is_saved_and_evaluated(out, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "vexkd.training.train.evaluate_model",
        lambda model, *args, **kwargs: (
            seen.append({k: v.clone() for k, v in model.state_dict().items()}) or {"mAP": 0.0}
        ),
    )
    run(recipe(ema=0.99, lr=0.05), out)
    saved = load_run(out)[1].state_dict()
    assert all(torch.equal(seen[0][name], saved[name]) for name in saved)
    raw = torch.load(out / "last.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(raw["model.head.shared.0.weight"], saved["head.shared.0.weight"])


def test_evaluations_on_the_way_are_logged(out):
    run(recipe(epochs=3, evaluate_every=1), out)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "evaluation" in row] == [3, 6]


def test_a_loss_that_is_not_finite_stops_with_step_and_terms(out):
    with pytest.raises(UserError, match=r"not finite at step \d+ of epoch \d+ \(loss .*heatmap .*samples keyframe-"):
        run(recipe(epochs=20, lr=1e30, schedule="constant", gradient_clip=1e30), out)


def test_each_set_of_parameters_is_clipped_by_its_own_norm(tmp_path):
    save_teacher(tmp_path / "teacher")
    from vexkd.training.distillation import distill_objective

    config = recipe("lidar", stage="distill", gradient_clip=1.0)
    told = {"teacher": tmp_path / "teacher", "loss": "l2"}
    config = config.model_copy(update={"distill": config.distill.model_copy(update=told)})
    student = Perception(config.model, config.task)
    stage = Stage(config, student, distill_objective(student, config), Keyframes())
    sets = stage.parameter_sets()
    assert {id(p) for part in sets for p in part} == {id(p) for p in stage.parameters() if p.requires_grad}
    for part, size in zip(sets, (100.0, 0.1, 0.1), strict=True):
        for parameter in part:
            parameter.grad = torch.full_like(parameter, size)
    stage.configure_gradient_clipping(torch.optim.SGD(student.parameters()))
    norms = [torch.sqrt(sum((p.grad**2).sum() for p in part)) for part in sets]
    assert norms[0] == pytest.approx(1.0, rel=1e-3)
    for part, norm in zip(sets[1:], norms[1:], strict=True):
        assert norm == pytest.approx(min(1.0, 0.1 * sum(p.numel() for p in part) ** 0.5), rel=1e-3)


def test_learning_rates_and_decay_follow_the_config(tmp_path):
    config = recipe("camera", lr=1e-2, backbone_lr_scale=0.1, weight_decay=0.3)
    model = Perception(config.model, config.task)
    from vexkd.training.objective import TaskObjective

    stage = Stage(config, model, TaskObjective(model), Keyframes())
    groups = stage.parameter_groups()
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    backbone = {id(p) for p in model.camera.backbone.parameters()}
    for name, parameter in model.named_parameters():
        rate, decay = found[id(parameter)]
        assert rate == pytest.approx(1e-3 if id(parameter) in backbone else 1e-2), name
        assert decay == (0.3 if parameter.ndim > 1 else 0.0), name


def test_a_folder_that_is_taken_is_refused_and_left_alone(out):
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        run(recipe(), out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_resume_refuses_a_folder_of_something_else_and_leaves_it_alone(out):
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    (out / ".config.yaml.partial-1.yaml").write_text("task:")
    with pytest.raises(UserError, match=r"--resume finds no config\.yaml in .*run, so it is no run folder; choose"):
        run(recipe(), out, resume=True)
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_that_holds_only_what_a_killed_process_left_counts_as_empty(out, resume):
    out.mkdir()
    (out / ".config.yaml.partial-1.yaml").write_text("task:")
    assert run(recipe(epochs=1), out, resume=resume)["resumed"] is False
    assert not list(out.glob(".*"))


def test_resume_refuses_another_config_and_names_the_settings(out):
    run(recipe(), out)
    with pytest.raises(UserError, match=r"train\.lr, train\.seed"):
        run(recipe(seed=7, lr=0.5), out, resume=True)


def test_resume_refuses_a_damaged_checkpoint(out):
    run(recipe(), out)
    content = (out / "last.ckpt").read_bytes()
    (out / "last.ckpt").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        run(recipe(), out, resume=True)


def test_resume_of_nothing_starts_and_of_a_finished_run_evaluates_again(out):
    first = run(recipe(), out, resume=True)
    weights = (out / "model.safetensors").read_bytes()
    again = run(recipe(), out, resume=True)
    assert (first["resumed"], again["resumed"]) == (False, True)
    assert (out / "model.safetensors").read_bytes() == weights


def test_a_teacher_can_start_from_its_lidar_student(tmp_path):
    run(recipe("lidar", lr=0.01), tmp_path / "lidar")
    student = load_run(tmp_path / "lidar")[1]
    config = recipe("mgfm", stage="teacher", init=str(tmp_path / "lidar"), lr=1e-12, schedule="constant", epochs=1)
    run(config, tmp_path / "teacher")
    teacher = load_run(tmp_path / "teacher")[1]
    torch.testing.assert_close(teacher.lidar.points.linear.weight, student.lidar.points.linear.weight)
    torch.testing.assert_close(teacher.head.shared[0].weight, student.head.shared[0].weight)


def test_an_init_of_another_size_is_told(tmp_path, caplog):
    seed_everything(0, verbose=False)
    config = recipe("lidar")
    narrow = config.model.encoder.model_copy(update={"out_channels": 8})
    other = config.model_copy(update={"model": config.model.model_copy(update={"encoder": narrow})})
    save_run(tmp_path / "lidar", other, Perception(other.model, "detection").state_dict())
    run(recipe("lidar", init=str(tmp_path / "lidar"), epochs=1), tmp_path / "run")
    assert "encoder, head stay random" in caplog.text and "copied: lidar" in caplog.text


def test_an_init_that_fits_nowhere_is_refused(tmp_path):
    save_run(tmp_path / "other", recipe(), {"camera.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"train\.init: no module"):
        run(recipe(init=str(tmp_path / "other")), tmp_path / "run")


def test_distillation_without_a_teacher_says_what_to_set(out):
    with pytest.raises(UserError, match=r"--set distill\.teacher=RUN"):
        run(recipe("lidar", stage="distill"), out)
    assert not out.exists()
