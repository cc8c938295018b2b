"""A student that learns with rounded weights and activations."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_config, tiny_inputs, tiny_targets
from torch import nn

from vexkd.config import DistillConfig
from vexkd.distill.distiller import Distiller
from vexkd.distill.fake_quantisation import FakeQuantisation, rounded_weight
from vexkd.models.perception import Perception


def model(kind: str = "lidar") -> Perception:
    torch.manual_seed(0)
    return Perception(tiny_config(kind), "segmentation").eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 3, 3), nn.ConvTranspose2d(4, 3, 2, stride=2), nn.Conv2d(4, 6, 1, groups=2)]
)
def test_weights_lie_on_255_steps_of_each_output_channel(layer: nn.Module) -> None:
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    given, rounded = (
        np.moveaxis(weight.detach().numpy(), axis, 0).reshape(weight.shape[axis], -1)
        for weight in (layer.weight, rounded_weight(layer))
    )
    steps = np.abs(given).max(axis=1, keepdims=True) / np.float32(127)
    np.testing.assert_allclose(rounded, np.rint(given / steps) * steps, rtol=1e-6)
    assert np.abs(rounded - given).max() <= steps.max() / 2 * 1.001


def test_rounding_before_a_batch_normalisation_is_rounding_the_folded_weights() -> None:
    layer, scale = nn.Conv2d(4, 3, 3), torch.tensor([0.3, -2.0, 7.0]).view(-1, 1, 1, 1)
    before = rounded_weight(layer) * scale
    layer.weight.data *= scale
    torch.testing.assert_close(before, rounded_weight(layer))


def test_gradients_pass_the_rounding_and_end_at_the_cut() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    quantisation = FakeQuantisation(network).eval()  # type: ignore[arg-type]
    quantisation.ranges.fill_(1.0)
    network[0].weight.data.fill_(0.5)
    given = torch.tensor([[0.3, 2.0]], requires_grad=True)
    quantisation(network, given.view(1, 1, 1, 2)).sum().backward()  # type: ignore[arg-type]
    torch.testing.assert_close(given.grad, torch.tensor([[0.5, 0.0]]))
    step = 1 / 127
    torch.testing.assert_close(network[0].weight.grad.flatten(), torch.tensor([round(0.3 / step) * step + 1.0]))


def test_ranges_follow_training_batches_only() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    quantisation = FakeQuantisation(network)  # type: ignore[arg-type]
    for largest, expected in ((2.0, 2.0), (4.0, 2.2)):
        quantisation(network, torch.full((1, 1, 1, 1), -largest))  # type: ignore[arg-type]
        torch.testing.assert_close(quantisation.ranges, torch.tensor([expected]))
    quantisation.eval()(network, torch.full((1, 1, 1, 1), 100.0))  # type: ignore[arg-type]
    torch.testing.assert_close(quantisation.ranges, torch.tensor([2.2]))


@pytest.mark.parametrize("kind", ["lidar", "camera"])
def test_eight_bits_change_a_model_a_little_and_leave_no_trace(kind: str) -> None:
    student = model(kind)
    inputs, names = tiny_inputs(student.config), set(student.state_dict())
    with torch.no_grad():
        exact = student(inputs).high
        quantisation = FakeQuantisation(student)
        quantisation(student, inputs)
        rounded = quantisation(student, inputs).high
        assert torch.equal(student(inputs).high, exact)
    difference = float((rounded - exact).std() / exact.std())
    assert 1e-3 < difference < 0.1
    assert set(student.state_dict()) == names
    assert not any(module._forward_pre_hooks for module in student.modules())


def test_a_student_learns_in_eight_bits() -> None:
    torch.manual_seed(0)
    config = DistillConfig(mask_channels=8, heads=2, keys=2, blocks=2, student_precision="int8")
    student, teacher = Perception(tiny_config("lidar"), "detection"), Perception(tiny_config("mgfm"), "detection")
    distiller = Distiller(student, teacher, config).train()
    inputs = tiny_inputs(teacher.config)
    terms = distiller(inputs, distiller.teacher_features(inputs), tiny_targets())
    terms["loss"].backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert distiller.quantisation is not None and bool((distiller.quantisation.ranges > 0).all())
