"""Centre head and its loss against values computed by hand."""

import math

import pytest
import torch
from tiny_models import GRID, tiny_boxes, tiny_config

from vexkd.config import HeadConfig
from vexkd.models.center_head import HEATMAP_BIAS, CenterHead, decode
from vexkd.models.center_loss import detection_loss, gaussian_focal


def test_gaussian_focal_by_hand() -> None:
    logits = torch.tensor([0.0, 1.0, -2.0])
    target = torch.tensor([1.0, 0.5, 0.0])
    p = [1 / (1 + math.exp(-x)) for x in logits.tolist()]
    expected = [
        -((1 - p[0]) ** 2) * math.log(p[0]),
        -(0.5**4) * p[1] ** 2 * math.log(1 - p[1]),
        -(p[2] ** 2) * math.log(1 - p[2]),
    ]
    assert gaussian_focal(logits, target).tolist() == pytest.approx(expected, rel=1e-5)


def test_extreme_logits_keep_loss_and_gradient_finite() -> None:
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    loss = gaussian_focal(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad is not None and logits.grad.isfinite().all()


def test_box_term_by_hand() -> None:
    config = tiny_config("lidar")
    boxes, labels = tiny_boxes(1)
    raw = {
        "heatmap": torch.full((1, 10, GRID.height, GRID.width), -20.0),
        "boxes": torch.zeros(1, len(config.head.groups), 10, GRID.height, GRID.width),
    }
    expected = 0.0
    # All three objects are alone in their group, so each group's average is the object's own error.
    for x, y, z, length, width, height, yaw, vx, vy in boxes[0].tolist():
        u, v = (x - GRID.x[0]) / GRID.cell, (y - GRID.y[0]) / GRID.cell
        codes = [u % 1, v % 1, z, *map(math.log, (length, width, height)), math.sin(yaw), math.cos(yaw)]
        speed = 0.0 if math.isnan(vx) else abs(vx) + abs(vy)
        expected += 0.25 * (sum(map(abs, codes)) + 0.2 * speed)
    terms = detection_loss(raw, boxes, labels, config)
    assert terms["box"].item() == pytest.approx(expected, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(terms["box"].item() + terms["heatmap"].item(), rel=1e-6)


def test_groups_are_averaged_over_their_own_objects() -> None:
    config = tiny_config("lidar")
    torch.manual_seed(0)
    raw = {
        "heatmap": torch.randn(1, 10, GRID.height, GRID.width),
        "boxes": torch.randn(1, len(config.head.groups), 10, GRID.height, GRID.width),
    }
    boxes, labels = tiny_boxes(1)
    once = detection_loss(raw, boxes, labels, config)
    twice = detection_loss(
        {name: part.expand(2, *part.shape[1:]) for name, part in raw.items()}, boxes * 2, labels * 2, config
    )
    # Groups with objects keep their value when the batch is doubled; empty ones count their background twice.
    empty = gaussian_focal(raw["heatmap"], torch.zeros(())).sum((0, 2, 3))
    assert twice["box"].item() == pytest.approx(once["box"].item(), rel=1e-5)
    # The objects' groups are car, bus + trailer, pedestrian + traffic_cone; these are the others' channels.
    background = empty[[1, 2, 5, 6, 7]].sum()
    assert (twice["heatmap"] - once["heatmap"]).item() == pytest.approx(background.item(), rel=1e-4)


def test_unknown_velocity_gives_no_gradient() -> None:
    config = tiny_config("lidar")
    maps = torch.zeros(1, len(config.head.groups), 10, GRID.height, GRID.width, requires_grad=True)
    boxes, labels = tiny_boxes(1)
    heatmap = torch.zeros(1, 10, GRID.height, GRID.width)
    detection_loss({"heatmap": heatmap, "boxes": maps}, boxes[:1], labels[:1], config)["loss"].backward()
    assert maps.grad is not None and maps.grad.isfinite().all()
    assert maps.grad[0, 2, 8:].abs().sum() == 0 < maps.grad[0, 2, :8].abs().sum()


def test_scores_descend_and_peaks_are_local_maxima() -> None:
    torch.manual_seed(0)
    config = tiny_config("lidar")
    head = CenterHead(config.head, GRID, 16).eval()
    found = head.decode(head(torch.randn(2, 16, GRID.height, GRID.width)))
    assert found.boxes.shape == (2, 20, 9) and found.scores.shape == found.labels.shape == (2, 20)
    assert found.labels.dtype == torch.int32 and found.boxes.dtype == torch.float32
    assert (found.scores.diff(dim=1) <= 0).all() and (found.boxes[..., 3:6] > 0).all()
    assert (found.boxes[..., 6].abs() <= math.pi).all()


def test_decode_reports_only_the_peak_of_a_hill() -> None:
    config = HeadConfig(max_boxes=4)
    heatmap = torch.zeros(1, 10, GRID.height, GRID.width)
    heatmap[0, 9, 2:5, 6:9] = 0.4
    heatmap[0, 9, 3, 7] = 0.9
    found = decode(heatmap, torch.zeros(1, 6, 10, GRID.height, GRID.width), config, GRID)
    assert found.scores[0, 0] == pytest.approx(0.9) and (found.scores[0, 1:] == 0).all()
    assert found.labels[0, 0] == 9
    assert found.boxes[0, 0, :2].tolist() == pytest.approx([GRID.x[0] + 7 * 1.6, GRID.y[0] + 3 * 1.6], abs=1e-5)


def test_groups_in_another_order_keep_their_labels() -> None:
    config = HeadConfig(max_boxes=1, groups=(("traffic_cone",), ("bus", "car")))
    heatmap = torch.zeros(1, 3, GRID.height, GRID.width)
    heatmap[0, 2, 1, 1] = 0.5
    codes = torch.zeros(1, 2, 10, GRID.height, GRID.width)
    codes[:, 1, 2] = 7.0
    found = decode(heatmap, codes, config, GRID)
    assert found.labels.item() == 0 and found.boxes[0, 0, 2] == 7


def test_first_guess_is_one_in_ten() -> None:
    head = CenterHead(HeadConfig(channels=8), GRID, 16)
    assert torch.equal(head.heatmap[1].bias, torch.full((10,), HEATMAP_BIAS))
    assert 1 / (1 + math.exp(-HEATMAP_BIAS)) == pytest.approx(0.1, abs=1e-3)
