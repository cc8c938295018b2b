"""A teacher without one of its sensors: in evaluation and as dropout in training."""

import pytest
import torch
from tiny_models import tiny_config, tiny_inputs, tiny_targets
from tiny_runs import recipe

from vexkd.ablate.missing import blind
from vexkd.data.collate import Batch
from vexkd.models.missing import leave_out
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.objective import TaskObjective


def teacher(kind: str = "mgfm") -> Perception:
    torch.manual_seed(0)
    return Perception(tiny_config(kind), "segmentation").eval()


@pytest.mark.parametrize("kind", ["mgfm", "conv"])
@pytest.mark.parametrize("sensor", ["camera", "lidar"])
@torch.no_grad()
def test_a_blind_teacher_depends_on_the_other_sensor_alone(kind: str, sensor: str) -> None:
    model = teacher(kind)
    one, other = (tiny_inputs(model.config, seed=seed) for seed in (0, 1))
    mixed = one._replace(images=other.images) if sensor == "camera" else one._replace(points=other.points)
    assert not torch.equal(model(one).prediction, model(mixed).prediction)
    alone = model(leave_out(one, sensor)).prediction
    blind(model, sensor)
    assert torch.equal(model(one).prediction, model(mixed).prediction)
    assert torch.equal(model(one).prediction, alone)


def seen(dropout: float, steps: int) -> list[str]:
    """What each of so many steps sees: ``both``, ``camera`` or ``lidar``."""
    model, found = teacher(), list[str]()

    def note(module, arguments):
        inputs = arguments[0]
        images, points = inputs.images is not None, inputs.points is not None
        found.append("both" if images and points else "camera" if images else "lidar" if points else "nothing")
        raise StopIteration

    model.register_forward_pre_hook(note)
    objective = TaskObjective(model, dropout)
    batch = Batch(tiny_inputs(model.config), tiny_targets(), ("a", "b"))
    for _ in range(steps):
        with pytest.raises(StopIteration):
            objective(batch, 0)
    return found


def test_dropout_leaves_out_either_sensor_alike():
    torch.manual_seed(0)
    found = seen(0.4, 2000)
    # Three standard deviations of a share of 2000 steps: 3 * sqrt(.2 * .8 / 2000) = .027.
    assert found.count("both") / 2000 == pytest.approx(0.6, abs=0.033)
    assert found.count("camera") / 2000 == pytest.approx(0.2, abs=0.027)
    assert found.count("lidar") / 2000 == pytest.approx(0.2, abs=0.027)


def test_without_dropout_nothing_is_drawn():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = teacher()
    torch.set_rng_state(before)
    TaskObjective(model)(Batch(tiny_inputs(model.config), tiny_targets(), ("a", "b")), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_dropped_branch_gets_no_gradient():
    model = teacher()
    objective = TaskObjective(model, 0.999)
    torch.manual_seed(3)
    objective(Batch(tiny_inputs(model.config), tiny_targets(), ("a", "b")), 0)["loss"].backward()
    assert model.camera is not None and model.lidar is not None
    trained = [any(p.grad is not None for p in branch.parameters()) for branch in (model.camera, model.lidar)]
    assert sorted(trained) == [False, True]


def test_students_have_no_sensor_to_drop():
    assert recipe("mgfm", stage="teacher", sensor_dropout=0.3).train.sensor_dropout == 0.3
    with pytest.raises(UserError, match=r"train\.sensor_dropout \(0\.3\) belongs to a teacher with two sensors"):
        recipe("lidar", sensor_dropout=0.3)
