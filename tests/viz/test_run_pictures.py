"""Sheets of tiny runs: which pictures there are, and what they and their titles say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import GRID, tiny_config
from tiny_runs import keyframe

from vexkd.classes import MAP_CLASSES
from vexkd.config import Config, DistillConfig, TrainConfig
from vexkd.distill.distiller import Distiller
from vexkd.models.map_head import MAP_GRID
from vexkd.models.perception import Perception
from vexkd.viz.colours import MAP_COLOURS
from vexkd.viz.feature_sheet import Panel, energy_row
from vexkd.viz.fusion_sheet import fusion_sheet
from vexkd.viz.maps import draw_map_outlines
from vexkd.viz.mask_sheet import mask_picture, mask_title
from vexkd.viz.opened import Run
from vexkd.viz.runs import draw_keyframe
from vexkd.viz.scale import Scale


def opened(kind: str, stage: str, task: str = "detection") -> Run:
    """A run of a tiny untrained model; a distillation's masks are 1 everywhere."""
    torch.manual_seed(0)
    distill = DistillConfig(mask="whole") if stage == "distill" else None
    config = Config(task=task, model=tiny_config(kind), train=TrainConfig(stage=stage), distill=distill)  # type: ignore[arg-type]
    model = Perception(config.model, config.task).eval()
    teacher = Perception(tiny_config("mgfm"), config.task).eval()
    distiller = None if distill is None else Distiller(model, teacher, distill).eval()
    return Run(f"{kind}-{stage}", config, model, distiller)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_every_kind_of_picture_is_written(task: str, tmp_path: Path) -> None:
    runs = [opened("lidar", "student", task), opened("lidar", "distill", task), opened("mgfm", "teacher", task)]
    written = draw_keyframe(runs, keyframe(0), tmp_path, "00")
    kinds = ["maps"] if task == "segmentation" else ["boxes", *(run.name for run in runs)]
    assert [path.name for path in written] == [f"00-{kind}.png" for kind in [*kinds, "features", "fusion", "masks"]]
    assert all(Image.open(path).width > 400 for path in written)


def test_only_what_the_runs_have_is_drawn(tmp_path: Path) -> None:
    written = draw_keyframe([opened("camera", "student", "segmentation")], keyframe(0), tmp_path, "00")
    assert [path.name for path in written] == ["00-maps.png", "00-features.png"]


def test_equal_energies_have_equal_colours_in_all_pictures_of_a_row() -> None:
    ones = np.ones((4, GRID.height, GRID.width), dtype=np.float32)
    strong = 20 * np.ones((32, GRID.height, GRID.width), dtype=np.float32)
    strong[:, :, 8] = 1  # x from 0 to 1.6 m, left to right through the whole picture
    row = energy_row([Panel("faint", "low level", ones, GRID), Panel("strong", "low level", strong, GRID)])
    faint, mixed = (np.asarray(picture) for _, picture in row[:2])
    assert (faint[200, 210] == mixed[200, 210]).all() and (faint[150, 210] != mixed[150, 210]).any()
    assert row[0][0] == "faint\nlow level, 4 channels, median energy 1" and len(row) == 3


@pytest.mark.parametrize("kind", ["mgfm", "conv"])
def test_the_fusion_sheet_has_four_features_and_a_bar_per_teacher(kind: str) -> None:
    teacher = opened(kind, "teacher")
    one, two = (fusion_sheet([teacher] * count, keyframe(0)) for count in (1, 2))
    assert 4 * 420 < one.width < 5 * 420 and two.height == 2 * one.height


def test_a_masks_title_gives_its_mean_in_boxes_and_elsewhere() -> None:
    sample = keyframe(0)
    sample = type(sample)(**{**vars(sample), "map_labels": None, "boxes": sample.boxes[:1].copy()})
    sample.boxes[0, :7] = [0.8, 0.8, 0, 1.6, 1.6, 1, 0]  # exactly the cell of row 4 and column 8
    mask = np.full((GRID.height, GRID.width), 0.25)
    mask[4, 8] = 0.75
    assert mask_title(mask, GRID, sample) == "mean 0.75 in boxes, 0.25 elsewhere"


def test_a_masks_title_gives_its_mean_per_map_class() -> None:
    sample = keyframe(0)
    labels = np.zeros((6, 200, 200), np.uint8)
    labels[2, 100:] = 1  # y > 0
    sample = type(sample)(**{**vars(sample), "map_labels": labels})
    mask = np.full((GRID.height, GRID.width), 0.25)
    mask[4:] = 0.5
    title = mask_title(mask, GRID, sample)
    assert "walkway 0.50" in title and "elsewhere 0.25" in title and "divider -" in title
    assert all(name in title for name in MAP_CLASSES)


def test_outlines_follow_the_rim_of_a_class_only() -> None:
    labels = np.zeros((6, 200, 200), np.uint8)
    labels[4, 80:120, 80:120] = 1  # +-10 m
    labels[0] = 255  # unknown
    image = Image.new("RGB", (200, 200))
    draw_map_outlines(image, labels, MAP_GRID, reach=50.0)
    rows, columns = np.nonzero((np.asarray(image) == MAP_COLOURS["carpark_area"]).all(axis=-1))
    assert len(rows) == 4 * 39 and {*rows} | {*columns} == {*range(80, 120)}
    assert np.asarray(image).any(axis=-1).sum() == len(rows)


@pytest.mark.parametrize("maps", [True, False])
def test_ground_truth_is_drawn_over_the_mask(maps: bool) -> None:
    sample, mask, scale = keyframe(0), np.zeros((GRID.height, GRID.width)), Scale(0.0, 1.0)
    bare = type(sample)(**{**vars(sample), "map_labels": None, "boxes": sample.boxes[:0]})
    sample = sample if maps else type(sample)(**{**vars(sample), "map_labels": None})
    drawn, plain = (np.asarray(mask_picture(mask, GRID, scale, each)) for each in (sample, bare))
    assert (drawn != plain).any()
