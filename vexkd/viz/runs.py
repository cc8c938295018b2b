"""Pictures of trained runs side by side: boxes, maps, BEV features and masks. Needs torch, unlike its neighbours."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import replacing
from vexkd.training.predict import predict_boxes
from vexkd.training.sampling import evenly
from vexkd.viz.feature_sheet import feature_sheet
from vexkd.viz.fusion_sheet import fusion_sheet
from vexkd.viz.mask_sheet import mask_sheet
from vexkd.viz.opened import Run, open_run, run_model
from vexkd.viz.prediction_sheets import boxes_sheet, cameras_sheet, maps_sheet


def draw_runs(paths: Sequence[Path], root: Path | None, split: str | None, samples: int, out: Path) -> list[Path]:
    """Draw runs of one task side by side, for the first keyframes of a split.

    Writes ``NN-boxes.png`` or ``NN-maps.png``, ``NN-features.png``, where a run is a teacher ``NN-fusion.png``, and
    where a run is a distillation ``NN-masks.png``; for detection also ``NN-RUN.png``, the cameras with a run's boxes.

    Args:
        paths: run folders.
        root: data root; by default that of the first run.
        split: by default ``data.val_split`` of the first run.
        samples: how many keyframes, spread evenly over the split.
        out: folder for the pictures.

    Returns:
        The files written, in order.

    Raises:
        UserError: a run cannot be read, the runs' tasks differ, or the data is wrong.
    """
    runs = [open_run(path) for path in paths]
    if len({run.config.task for run in runs}) > 1:
        raise UserError("the runs are of different tasks: " + ", ".join(f"{r.name} {r.config.task}" for r in runs))
    data = runs[0].config.data
    if root is not None:
        data = data.model_copy(update={"root": root, "version": None})
    dataset = NuScenesDataset(data, split or data.val_split, map_labels=runs[0].config.task == "segmentation")
    chosen = evenly(len(dataset), samples)
    return [path for index in chosen for path in draw_keyframe(runs, dataset[index], out, f"{index:02d}")]


def draw_keyframe(runs: Sequence[Run], sample: Sample, out: Path, prefix: str) -> list[Path]:
    """All pictures of one keyframe; the files written."""
    outputs = [run_model(run.model, sample) for run in runs]
    sheets: dict[str, Image.Image] = {}
    if runs[0].config.task == "detection":
        found = [predict_boxes(run.model, sample, run.config.model.head.score_threshold) for run in runs]
        sheets["boxes"] = boxes_sheet(runs, found, sample)
        for run, boxes in zip(runs, found, strict=True):
            sheets[run.name] = cameras_sheet(run, boxes, sample)
    else:
        sheets["maps"] = maps_sheet(runs, outputs, sample)
    sheets["features"] = feature_sheet(runs, outputs)
    if teachers := [run for run in runs if run.config.model.fusion is not None]:
        sheets["fusion"] = fusion_sheet(teachers, sample)
    if distilled := [run for run in runs if run.distiller is not None]:
        sheets["masks"] = mask_sheet(distilled, sample)
    return [_save(picture, out / f"{prefix}-{name}.png") for name, picture in sheets.items()]


def _save(picture: Image.Image, path: Path) -> Path:
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    return path
