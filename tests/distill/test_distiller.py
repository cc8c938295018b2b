"""Teacher, masks and student together: which gradients go where, and what stays untouched."""

import pytest
import torch
from tiny_models import GRID, tiny_config, tiny_inputs, tiny_targets

from vexkd.config import DistillConfig, HeadConfig
from vexkd.distill.distiller import Distiller
from vexkd.distill.losses import attention_transfer
from vexkd.distill.mask_generator import MaskGenerator
from vexkd.distill.masks import activation_mask
from vexkd.geometry import BevGrid
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError


def distiller(student: str = "lidar", task: str = "detection", teacher: str = "mgfm", **changes: object) -> Distiller:
    torch.manual_seed(0)
    config = DistillConfig.model_validate({"mask_channels": 8, "heads": 2, "keys": 2, "blocks": 2, **changes})
    models = [Perception(tiny_config(kind), task) for kind in (student, teacher)]  # type: ignore[arg-type]
    return Distiller(models[0], models[1], config).train()


def run(model: Distiller, learn_masks: bool = True) -> dict[str, torch.Tensor]:
    inputs = tiny_inputs(model.teacher.config)
    return model(inputs, model.teacher_features(inputs), tiny_targets(), learn_masks)


def learning(model: Distiller) -> set[str]:
    """First part of the name of every parameter with a gradient."""
    return {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("loss", ["attention", "l1"])
@pytest.mark.parametrize("task", ["detection", "segmentation"])
@pytest.mark.parametrize("student", ["lidar", "camera"])
def test_each_objective_reaches_its_own_parameters_only(student: str, task: str, loss: str) -> None:
    adapters = {"adapters"} if loss != "attention" else set()
    model = distiller(student, task, loss=loss)
    run(model)["student"].backward()
    assert learning(model) == {"student"} | adapters
    model.zero_grad()
    run(model)["mask"].backward()
    assert learning(model) == {"masks"}
    model.zero_grad()
    run(model)["loss"].backward()
    assert all((p.grad is not None) != name.startswith("teacher") for name, p in model.named_parameters())


def test_objectives_are_the_papers_sums() -> None:
    model = distiller(mu=0.5, weight=3.0).eval()
    inputs, targets = tiny_inputs(model.teacher.config), tiny_targets()
    output, taught = model.student(inputs), model.teacher_features(inputs)
    terms = model(inputs, taught, targets)
    masks = model.make_masks(taught, targets)
    student, mask = model.student.loss(output.prediction, targets)["loss"], torch.zeros(())
    for level in ("low", "high"):
        feature = getattr(taught, level)
        kd = attention_transfer(getattr(output, level), feature, masks[level] * model.area.inside)
        student = student + 3.0 * kd
        masked = model.teacher.head_from(level, masks[level] * feature)
        mask = mask + model.teacher.loss(masked, targets)["loss"] + 0.5 * kd
    torch.testing.assert_close(terms["student"], student)
    torch.testing.assert_close(terms["mask"], mask)
    torch.testing.assert_close(terms["loss"], student + mask)


def test_teacher_is_untouched_by_training() -> None:
    model = distiller()
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    student = {name: value.clone() for name, value in model.student.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    run(model)["loss"].backward()
    optimizer.step()
    assert not model.teacher.training and model.student.training
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())
    assert any(not torch.equal(value, student[name]) for name, value in model.student.state_dict().items())


def test_student_bears_no_trace() -> None:
    plain = Perception(tiny_config("lidar"), "detection")
    model = distiller(loss="l2")
    assert model.student.state_dict().keys() == plain.state_dict().keys()
    assert type(model.student) is Perception and not model.student._forward_hooks


def test_halted_masks_go_on_guiding() -> None:
    model = distiller()
    terms = run(model, learn_masks=False)
    assert "mask" not in terms and not any(name.startswith("masked") for name in terms)
    terms["loss"].backward()
    assert learning(model) == {"student"}
    assert terms["kd_low"] > 0


def test_student_loss_falls_with_masks_and_repeats_to_the_bit() -> None:
    histories = []
    for _ in range(2):
        model = distiller()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
        history = []
        for _ in range(5):
            terms = run(model)
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            history.append((terms["student"].item(), terms["mask"].item()))
        histories.append(history)
    assert histories[0] == histories[1]
    assert histories[0][-1][0] < histories[0][0][0] and histories[0][-1][1] < histories[0][0][1]


@pytest.mark.parametrize("mask", ["learned", "random_query"])
def test_learned_masks_lie_between_zero_and_one_and_vary(mask: str) -> None:
    model = distiller(mask=mask)
    features = model.teacher_features(tiny_inputs(model.teacher.config))
    for made in model.make_masks(features, tiny_targets()).values():
        assert made.shape == (2, 1, GRID.height, GRID.width)
        assert 0 < made.min() < made.max() < 1
        assert not made.requires_grad


@pytest.mark.parametrize("mask", ["whole", "gaussian", "key_points", "activation"])
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_fixed_masks_train_the_student_alone(mask: str, task: str) -> None:
    model = distiller(task=task, mask=mask, teacher="conv")
    terms = run(model)
    terms["loss"].backward()
    assert "mask" not in terms and learning(model) == {"student"}


def test_activation_weighs_the_energy_of_attention_once() -> None:
    model = distiller(mask="activation", teacher="conv", levels=["low"]).eval()
    inputs = tiny_inputs(model.teacher.config)
    taught = model.teacher_features(inputs)
    weight = activation_mask(taught.low) * model.area.inside
    energy = [
        (weight * feature.square().sum(1, keepdim=True)).flatten(1)
        for feature in (model.student(inputs).low, taught.low)
    ]
    student, teacher = (part / part.norm(dim=1, keepdim=True) for part in energy)
    expected = (student - teacher).norm(dim=1).mean()
    torch.testing.assert_close(model(inputs, taught, tiny_targets())["kd_low"], expected, rtol=1e-4, atol=1e-5)


def test_the_border_takes_no_part() -> None:
    model = distiller(levels=["high"], mask="whole", loss="l2").eval()
    inputs = tiny_inputs(model.teacher.config)
    taught = model.teacher_features(inputs)
    rim = 1 - model.area.inside
    changed = taught._replace(high=taught.high + 100 * rim * torch.randn_like(taught.high))
    losses = [model(inputs, features, tiny_targets())["kd_high"] for features in (taught, changed)]
    torch.testing.assert_close(*losses)


def test_one_level_alone() -> None:
    model = distiller(levels=["high"])
    terms = run(model)
    assert "kd_high" in terms and "kd_low" not in terms and set(model.masks) == {"high"}


def test_student_on_a_finer_grid_is_brought_to_the_teachers() -> None:
    torch.manual_seed(0)
    student = Perception(tiny_config("lidar", GRID.with_cell(0.8)), "detection")
    teacher = Perception(tiny_config("mgfm"), "detection")
    model = Distiller(student, teacher, DistillConfig(mask_channels=8, heads=2))
    terms = model(tiny_inputs(student.config), model.teacher_features(tiny_inputs(teacher.config)), tiny_targets())
    terms["loss"].backward()
    assert learning(model) == {"student", "masks"}


def test_random_query_needs_no_query_from_the_fusion() -> None:
    terms = run(distiller(teacher="conv", mask="random_query"))
    assert terms["mask"].isfinite()
    generator = MaskGenerator(DistillConfig(mask_channels=8, heads=2), 5, 3, (4, 6))
    with pytest.raises(ValueError, match="query"):
        generator(None, torch.randn(1, 3, 4, 6))


def test_pairs_that_cannot_work_are_refused() -> None:
    student, teacher = (Perception(tiny_config(kind), "detection") for kind in ("lidar", "mgfm"))
    with pytest.raises(UserError, match="random_query"):
        distiller(teacher="conv")
    with pytest.raises(UserError, match=r"distill\.teacher to a detection run"):
        Distiller(student, Perception(tiny_config("mgfm"), "segmentation"), DistillConfig())
    elsewhere = Perception(tiny_config("mgfm", BevGrid(x=(12.8, 38.4), y=(-6.4, 6.4), cell=1.6)), "detection")
    with pytest.raises(UserError, match=r"no area in common: .*\(-12\.8, 12\.8\).*\(12\.8, 38\.4\)"):
        Distiller(student, elsewhere, DistillConfig())
    few = student.config.model_copy(update={"head": HeadConfig(channels=8, groups=(("car",),))})
    with pytest.raises(UserError, match=r"same classes: .* holds car, the teacher's barrier, bicycle"):
        Distiller(Perception(few, "detection"), teacher, DistillConfig())
    assert Distiller(student, teacher, DistillConfig(heads=2, mask_channels=8)).teacher is teacher
