"""Heat maps against loops over cells, and boxes that survive encoding and decoding."""

import math

import pytest
import torch
from tiny_models import GRID, tiny_boxes

from vexkd.config import HeadConfig
from vexkd.geometry import BevGrid
from vexkd.models.center_head import decode
from vexkd.models.center_targets import center_targets, class_layout, gaussian_radius

HEAD = HeadConfig(max_boxes=10)


def overlap_after(length: float, width: float, radius: float) -> float:
    """Smallest IoU of a box with itself displaced, shrunk and grown by ``radius`` at each corner."""
    area = length * width
    shared = (length - radius) * (width - radius)
    displaced = shared / (2 * area - shared)
    shrunk = (length - 2 * radius) * (width - 2 * radius) / area
    grown = area / ((length + 2 * radius) * (width + 2 * radius))
    return min(displaced, shrunk, grown)


@pytest.mark.parametrize("size", [(5.0, 2.0), (20.0, 20.0), (40.0, 3.0)])
def test_radius_is_the_largest_whole_one_that_keeps_the_overlap(size: tuple[float, float]) -> None:
    radius = gaussian_radius(*(torch.tensor([side]) for side in size), overlap=0.1).item()
    assert overlap_after(*size, radius) >= 0.1
    next_radius = radius + 1
    assert min(size) <= 2 * next_radius or overlap_after(*size, next_radius) < 0.1


def test_heatmap_against_loops() -> None:
    boxes, labels = tiny_boxes(2)
    # Two cars whose windows overlap: the larger value stays.
    boxes[0] = torch.cat([boxes[0], boxes[0][:1] + torch.tensor([2.0, 1.5, 0, 4, 0, 0, 0, 0, 0])])
    labels[0] = torch.cat([labels[0], labels[0][:1]])
    targets = center_targets(boxes, labels, HEAD, GRID)

    channels, _ = class_layout(HEAD)
    expected = torch.zeros(2, len(channels), GRID.height, GRID.width)
    for b in range(2):
        for box, label in zip(boxes[b].tolist(), labels[b].tolist(), strict=True):
            cx = math.floor((box[0] - GRID.x[0]) / GRID.cell)
            cy = math.floor((box[1] - GRID.y[0]) / GRID.cell)
            size = [torch.tensor([side / GRID.cell]) for side in box[3:5]]
            radius = max(2, int(gaussian_radius(*size).item()))
            sigma = (2 * radius + 1) / 6
            for iy in range(max(0, cy - radius), min(GRID.height, cy + radius + 1)):
                for ix in range(max(0, cx - radius), min(GRID.width, cx + radius + 1)):
                    value = math.exp(-((ix - cx) ** 2 + (iy - cy) ** 2) / (2 * sigma**2))
                    place = expected[b, channels.index(label), iy]
                    place[ix] = max(place[ix].item(), value)
    torch.testing.assert_close(targets.heatmap, expected)
    assert (targets.heatmap == 1).sum() == 6
    assert targets.valid.tolist() == [[True] * 4, [True, True, False, False]]


@pytest.mark.parametrize("grid", [GRID, BevGrid(x=(-6.4, 6.4), y=(-12.8, 12.8), cell=0.8)])
def test_decoding_perfect_maps_gives_the_boxes_back(grid: BevGrid) -> None:
    boxes, labels = tiny_boxes(2)
    known = [torch.where(part.isnan(), 0.25, part) for part in boxes]
    inside = [(part[:, 0].abs() < grid.x[1]) & (part[:, 1].abs() < grid.y[1]) for part in known]
    targets = center_targets(known, labels, HEAD, grid)
    cells = grid.height * grid.width
    maps = torch.zeros(2, len(HEAD.groups) * cells, 10)
    for b in range(2):
        maps[b, targets.place[b][targets.valid[b]]] = targets.codes[b][targets.valid[b]]
    maps = maps.view(2, len(HEAD.groups), cells, 10).transpose(2, 3).unflatten(3, (grid.height, grid.width))
    found = decode(targets.heatmap, maps, HEAD, grid)
    for b in range(2):
        expected, expected_labels = known[b][inside[b]], labels[b][inside[b]]
        assert (found.scores[b] == 1).sum() == len(expected) >= 1
        for box, label in zip(expected, expected_labels, strict=True):
            match = (found.labels[b] == label) & (found.scores[b] == 1)
            distance = (found.boxes[b][match] - box).abs().amax(-1)
            assert distance.min() < 1e-4


def test_foreign_classes_padding_and_outside_boxes_are_left_out() -> None:
    boxes, labels = tiny_boxes(1)
    outside = boxes[0].clone()
    outside[:, 0] += 1000
    only_cars = HeadConfig(groups=(("car",),))
    assert center_targets(boxes, labels, only_cars, GRID).valid.tolist() == [[True, False, False]]
    assert not center_targets([outside], labels, HEAD, GRID).valid.any()
    assert not center_targets(boxes, [torch.full((3,), -1)], HEAD, GRID).valid.any()


def test_no_boxes_at_all() -> None:
    targets = center_targets([torch.zeros(0, 9)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, HEAD, GRID)
    assert targets.heatmap.shape == (2, 10, GRID.height, GRID.width) and not targets.heatmap.any()
    assert targets.place.shape == (2, 0)
