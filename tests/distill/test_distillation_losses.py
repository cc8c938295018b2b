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
    ("kind", "expected"),
    # Differences 0.5 and 3; the teacher's own distance from its mean 2 is 1 and 1.
    [("l1", (0.5 + 3) / (1 + 1)), ("l2", (0.25 + 9) / (1 + 1)), ("smooth_l1", (0.125 + 2.5) / (0.5 + 0.5))],
)
def test_feature_distance_by_hand(kind: str, expected: float) -> None:
    teacher = torch.tensor([[[[1.0, 3.0, 7.0]]]])
    student = torch.tensor([[[[1.5, 6.0, 100.0]]]])
    # The third position is masked out.
    mask = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert feature_distance(kind, student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)
    # Neither the mask's strength nor the features' scale nor a floor under both matters.
    assert feature_distance(kind, student, teacher, 0.1 * mask).item() == pytest.approx(expected, rel=1e-4)
    assert feature_distance(kind, student + 9, teacher + 9, mask).item() == pytest.approx(expected, rel=1e-5)
    if kind != "smooth_l1":
        assert feature_distance(kind, 5 * student, 5 * teacher, mask).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["l1", "l2", "smooth_l1"])
def test_a_copy_costs_nothing_and_a_constant_one(kind: str) -> None:
    torch.manual_seed(0)
    teacher, mask = torch.randn(2, 5, 6, 7), torch.rand(2, 1, 6, 7)
    mean = (mask * teacher).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True)
    assert feature_distance(kind, teacher, teacher, mask) == 0
    assert feature_distance(kind, mean.expand_as(teacher), teacher, mask).item() == pytest.approx(1.0, rel=1e-4)


def test_weights_of_the_mask_count_once() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 1, 3, 1, 4)
    # A cell of weight 2 counts as two cells of weight 1.
    doubled = [torch.cat([feature, feature[..., :1]], dim=-1) for feature in (student, teacher)]
    mask = torch.tensor([[[[2.0, 1.0, 1.0, 1.0]]]])
    expected = feature_distance("l2", *doubled, torch.ones(1, 1, 1, 5))
    torch.testing.assert_close(feature_distance("l2", student, teacher, mask), expected)


def test_with_a_fixed_spread_a_mask_pays_for_what_is_wrong_under_it() -> None:
    teacher, student = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[1.0, 6.0]]]])
    whole = torch.ones(1, 1, 1, 2)
    # Squared errors 0 and 9; the teacher's spread around its mean 2 is 1 + 1.
    for second in (1.0, 0.5, 0.0):
        mask = torch.tensor([[[[1.0, second]]]])
        assert feature_distance("l2", student, teacher, mask, whole).item() == pytest.approx(4.5 * second, rel=1e-5)


def test_nothing_to_imitate_costs_nothing() -> None:
    student, flat = torch.ones(1, 2, 3, 3, requires_grad=True), torch.zeros(1, 2, 3, 3)
    for mask in (torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3)):
        loss = feature_distance("l2", student, flat, mask)
        loss.backward()
        assert loss == 0 and student.grad is not None and not student.grad.any()


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'l3'"):
        feature_distance("l3", torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
