"""What is reported of masks, on fields whose figures are known."""

import numpy as np
import pytest
import torch
from tiny_models import GRID, tiny_config
from tiny_runs import keyframe

from vexkd.config import DistillConfig
from vexkd.distill.diagnostics import box_cells, map_cells, mask_figures, participation_ratio
from vexkd.distill.distiller import Distiller
from vexkd.geometry import BevGrid
from vexkd.models.perception import Perception


def test_participation_ratio_counts_equal_cells() -> None:
    energy = torch.zeros(50)
    energy[:7] = 3.0
    assert participation_ratio(energy) == pytest.approx(7)
    assert participation_ratio(torch.zeros(4)) == 0


def test_cells_of_a_turned_box() -> None:
    grid = BevGrid(x=(-4.0, 4.0), y=(-4.0, 4.0), cell=1.0)
    box = np.array([[0.5, 0.5, 0, 5.0, 1.0, 1, np.pi / 2, 0, 0]])
    rows, columns = np.nonzero(box_cells(box, grid))
    # Five metres long along y around y = 0.5: centres -1.5 to 2.5, all at x = 0.5.
    assert columns.tolist() == [4] * 5 and rows.tolist() == [2, 3, 4, 5, 6]


def test_cells_of_a_map_class() -> None:
    labels = np.zeros((6, 200, 200), np.uint8)
    labels[2, 100:, 120:] = 1  # y from 0 m, x from 10 m
    cells = map_cells(labels, BevGrid(x=(-60.0, 60.0), y=(-60.0, 60.0), cell=4.0))
    rows, columns = np.nonzero(cells[2])
    assert not cells[[0, 1, 3, 4, 5]].any()
    # Centres -58, -54, ..., of which 2..46 lie in 0..50 along y, and 10..46 along x.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 26, 17, 26)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_the_whole_map_changes_nothing(task: str) -> None:
    torch.manual_seed(0)
    models = [Perception(tiny_config(kind), task).eval() for kind in ("lidar", "mgfm")]  # type: ignore[arg-type]
    distiller = Distiller(models[0], models[1], DistillConfig(mask="whole"))
    figures = mask_figures(distiller, [keyframe(0), keyframe(1)])
    assert figures.keys() == {"low", "high"}
    for values in figures.values():
        assert values["effective_cells"] == pytest.approx(values["whole_cells"])
        assert 1 <= values["whole_cells"] <= GRID.height * GRID.width
        assert values["correlation"] == pytest.approx(1, abs=1e-4)
        assert values["masked_loss"] == pytest.approx(values["teacher_loss"], rel=1e-4)
        where = [values["inside"], values["outside"]] if task == "detection" else list(values["classes"].values())
        assert where == pytest.approx([1.0] * len(where)) and where


def test_a_mask_of_boxes_is_higher_inside_them() -> None:
    torch.manual_seed(0)
    models = [Perception(tiny_config(kind), "detection").eval() for kind in ("lidar", "mgfm")]
    distiller = Distiller(models[0], models[1], DistillConfig(mask="gaussian"))
    values = mask_figures(distiller, [keyframe(0)])["low"]
    assert values["inside"] > 2 * values["outside"] and values["effective_cells"] < values["whole_cells"]
