"""Losses between a student's and a teacher's masked feature, by hand."""

import math

import pytest
import torch

from vexkd.distill.losses import attention_transfer, feature_distance


def test_attention_transfer_by_hand() -> None:
    student = torch.tensor([[[[1.0, 0.0]], [[2.0, 1.0]]]])
    teacher = torch.tensor([[[[3.0, 4.0]]]])
    mask = torch.tensor([[[[1.0, 0.5]]]])
    # Channel sums of |M F|^2: student (1 + 4, 0.25), teacher (9, 4).
    unit = [[v / math.hypot(*q) for v in q] for q in ((5.0, 0.25), (9.0, 4.0))]
    expected = math.hypot(unit[0][0] - unit[1][0], unit[0][1] - unit[1][1])
    assert attention_transfer(student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)


def test_attention_ignores_scale_and_averages_samples() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 5), torch.randn(2, 7, 4, 5)
    mask = torch.rand(2, 1, 4, 5)
    loss = attention_transfer(student, teacher, mask)
    torch.testing.assert_close(attention_transfer(3 * student, teacher, mask), loss)
    parts = [attention_transfer(student[i : i + 1], teacher[i : i + 1], mask[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(loss, torch.stack(parts).mean())


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_gradient_is_finite_for_equal_and_empty_maps(scale: float) -> None:
    student = torch.full((1, 2, 3, 3), scale, requires_grad=True)
    mask = torch.ones(1, 1, 3, 3, requires_grad=True)
    attention_transfer(student, student.detach().clone(), mask).backward()
    assert student.grad is not None and student.grad.isfinite().all()
    assert mask.grad is not None and mask.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "expected"), [("l1", (0.5 + 3) / 2), ("l2", (0.25 + 9) / 2), ("smooth_l1", (0.125 + 2.5) / 2)]
)
def test_feature_distance_by_hand(kind: str, expected: float) -> None:
    # Differences 0.5 and 3 with weights 1 and 1: the third position is masked out.
    student = torch.tensor([[[[0.5, 3.0, 100.0]]]])
    mask = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    found = feature_distance(kind, student, torch.zeros(1, 1, 1, 3), mask).item()
    assert found == pytest.approx(expected, rel=1e-5)
    # The weight's scale does not matter.
    assert feature_distance(kind, student, torch.zeros(1, 1, 1, 3), 0.1 * mask).item() == pytest.approx(found, rel=1e-4)


def test_empty_mask_costs_nothing() -> None:
    assert feature_distance("l1", torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 3, 3)) == 0


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'l3'"):
        feature_distance("l3", torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
