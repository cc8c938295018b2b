"""The sheet of a teacher's fusion: each sensor's BEV feature before it, and what comes after."""

from collections.abc import Sequence

import torch
from PIL import Image

from vexkd.data.collate import collate
from vexkd.data.sample import Sample
from vexkd.viz.feature_sheet import Panel, energy_row
from vexkd.viz.opened import Run, first
from vexkd.viz.sheet import Titled, sheet


def fusion_sheet(teachers: Sequence[Run], sample: Sample) -> Image.Image:
    """A row per teacher: camera and LiDAR before the fusion, fused, and after the BEV encoder, on one scale."""
    return sheet([_fusion_row(teacher, sample) for teacher in teachers])


@torch.inference_mode()
def _fusion_row(run: Run, sample: Sample) -> list[Titled]:
    model, grid = run.model, run.config.model.grid
    assert model.camera is not None and model.lidar is not None
    inputs = collate([sample], model.config).inputs
    features = model.features(inputs)
    shown = {
        "camera before the fusion": model.camera(inputs),
        "LiDAR before the fusion": model.lidar(inputs),
        "fused: low level": features.low,
        "BEV encoder: high level": features.high,
    }
    return energy_row([Panel(run.title, part, first(feature), grid) for part, feature in shown.items()])
