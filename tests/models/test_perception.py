"""Whole networks: every kind for every task, repeatable to the bit, and learning."""

import pytest
import torch
from tiny_models import GRID, tiny_config, tiny_inputs, tiny_targets

from vexkd.models.perception import Perception

KINDS = ["lidar", "camera", "mgfm", "conv"]
TASKS = ["detection", "segmentation"]


def model(kind: str, task: str, seed: int = 0) -> Perception:
    torch.manual_seed(seed)
    return Perception(tiny_config(kind), task)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str, task: str) -> None:
    network = model(kind, task)
    output = network(tiny_inputs(network.config))
    assert output.low.shape[2:] == output.high.shape[2:] == (GRID.height, GRID.width)
    assert (output.query is not None) == (kind == "mgfm")
    terms = network.loss(output.prediction, tiny_targets())
    assert all(value.ndim == 0 and value.isfinite() for value in terms.values())
    terms["loss"].backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("task", TASKS)
def test_head_from_continues_the_network(task: str) -> None:
    network = model("mgfm", task).eval()
    output = network(tiny_inputs(network.config))
    for level in ("low", "high"):
        again = network.head_from(level, getattr(output, level))
        for ours, theirs in zip(_tensors(again), _tensors(output.prediction), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["mgfm", "conv"])
def test_teacher_runs_on_one_sensor(kind: str) -> None:
    network = model(kind, "detection").eval()
    inputs = tiny_inputs(network.config)
    whole = network(inputs)
    blind = network(inputs._replace(images=None))
    deaf = network(inputs._replace(points=None))
    assert blind.low.shape == deaf.low.shape == whole.low.shape
    assert not torch.equal(blind.low, whole.low) and not torch.equal(deaf.low, whole.low)


def test_samples_of_a_batch_do_not_mix() -> None:
    network = model("mgfm", "detection").eval()
    both = network(tiny_inputs(network.config, batch=2, seed=3))
    other = tiny_inputs(network.config, batch=2, seed=3)
    assert other.points is not None and other.images is not None
    other.points[1], other.images[1] = 0, 0
    changed = network(other)
    torch.testing.assert_close(changed.high[0], both.high[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(changed.high[1], both.high[1], atol=1e-3)


@pytest.mark.parametrize("kind", ["lidar", "camera", "mgfm"])
def test_a_few_steps_learn_and_repeat_to_the_bit(kind: str) -> None:
    losses = [train(kind, steps=6) for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.8 * losses[0][0]


def train(kind: str, steps: int) -> list[float]:
    network = model(kind, "detection")
    inputs, targets = tiny_inputs(network.config), tiny_targets()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(steps):
        loss = network.loss(network(inputs).prediction, targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_decode_belongs_to_detection() -> None:
    network = model("lidar", "segmentation").eval()
    with pytest.raises(ValueError, match="detection"):
        network.decode(network(tiny_inputs(network.config)))


@pytest.mark.parametrize("task", TASKS)
def test_missing_targets_are_named(task: str) -> None:
    network = model("lidar", task).eval()
    prediction = network(tiny_inputs(network.config)).prediction
    with pytest.raises(ValueError, match="map_labels" if task == "segmentation" else "boxes"):
        network.loss(prediction, tiny_targets()._replace(boxes=None, map_labels=None))


def _tensors(prediction: dict[str, torch.Tensor] | torch.Tensor) -> list[torch.Tensor]:
    return [prediction] if isinstance(prediction, torch.Tensor) else list(prediction.values())
