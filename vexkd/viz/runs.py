"""What trained runs see: their BEV features, masks, boxes and maps side by side. Needs torch, unlike its neighbours."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vexkd.config import Config
from vexkd.data.collate import collate
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.distill.distiller import Distiller
from vexkd.models.inputs import Output
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import replacing
from vexkd.training.distillation import load_distiller
from vexkd.training.predict import predict_boxes
from vexkd.training.run import load_run
from vexkd.viz.bev import bev_canvas, draw_bev_boxes, fill_bev_boxes
from vexkd.viz.colours import TRUTH_COLOUR
from vexkd.viz.detection import REACH, class_colours, detection_picture
from vexkd.viz.features import feature_picture, heat_picture
from vexkd.viz.maps import map_picture
from vexkd.viz.sheet import sheet

SIDE = 420
"""Pixels of a bird's-eye-view picture."""
Titled = tuple[str, Image.Image]


class Run(NamedTuple):
    """A run folder, opened; ``distiller`` where it is a distillation's."""

    name: str
    config: Config
    model: Perception
    distiller: Distiller | None


def draw_runs(paths: Sequence[Path], root: Path | None, split: str | None, samples: int, out: Path) -> list[Path]:
    """Draw runs of one task side by side, for the first keyframes of a split.

    Writes ``NN-boxes.png`` or ``NN-maps.png``, ``NN-features.png`` and, where a run is a distillation,
    ``NN-masks.png``; for detection also ``NN-RUN.png``, the cameras with a run's boxes.

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
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(samples, len(dataset))).astype(int))
    return [path for index in chosen for path in draw_keyframe(runs, dataset[int(index)], out, f"{index:02d}")]


def open_run(path: Path) -> Run:
    """Load a run folder for pictures."""
    config, model = load_run(path)
    distiller = load_distiller(path) if config.distill is not None else None
    return Run(path.resolve().name, config, model, distiller)


def draw_keyframe(runs: Sequence[Run], sample: Sample, out: Path, prefix: str) -> list[Path]:
    """All pictures of one keyframe; the files written."""
    outputs = [_forward(run.model, sample) for run in runs]
    sheets: dict[str, Image.Image] = {}
    if runs[0].config.task == "detection":
        sheets["boxes"] = sheet([[boxes_panel(run, sample) for run in runs]])
        for run in runs:
            found = predict_boxes(run.model, sample, run.config.model.head.score_threshold)
            sheets[run.name] = detection_picture(sample, found.boxes, found.labels)
    else:
        sheets["maps"] = sheet([maps_panels(runs, outputs, sample)])
    sheets["features"] = sheet([feature_panels(runs, outputs, level) for level in ("low", "high")])
    masks = [row for run in runs if run.distiller is not None for row in mask_panels(run, sample)]
    if masks:
        sheets["masks"] = sheet(masks)
    return [_save(picture, out / f"{prefix}-{name}.png") for name, picture in sheets.items()]


def boxes_panel(run: Run, sample: Sample) -> Titled:
    """BEV with annotated boxes filled and the run's boxes over its score threshold outlined."""
    found = predict_boxes(run.model, sample, run.config.model.head.score_threshold)
    picture = bev_canvas(sample.points, 3 * SIDE // 2, REACH)
    fill_bev_boxes(picture, sample.boxes, TRUTH_COLOUR, REACH)
    draw_bev_boxes(picture, found.boxes, class_colours(found.labels), REACH)
    return f"{run.name}: {len(found.boxes)} boxes", picture


def maps_panels(runs: Sequence[Run], outputs: Sequence[Output], sample: Sample) -> list[Titled]:
    """Ground truth, then each run's map at probability 0.5."""
    panels = [("ground truth", map_picture(sample.map_labels, SIDE))] if sample.map_labels is not None else []
    for run, output in zip(runs, outputs, strict=True):
        assert isinstance(output.prediction, torch.Tensor)
        panels.append((run.name, map_picture(_array(output.prediction > 0), SIDE)))
    return panels


def feature_panels(runs: Sequence[Run], outputs: Sequence[Output], level: str) -> list[Titled]:
    """Energy of each run's BEV feature at a level."""
    return [
        (f"{run.name}: {level} level", feature_picture(_array(getattr(output, level)), SIDE))
        for run, output in zip(runs, outputs, strict=True)
    ]


def mask_panels(run: Run, sample: Sample) -> list[list[Titled]]:
    """A row per level of a distillation run: the teacher's feature, the mask on it, and the feature under the mask."""
    distiller = run.distiller
    assert distiller is not None
    batch = collate([sample], distiller.student.config, teacher=distiller.teacher.config)
    assert batch.teacher_inputs is not None
    taught = distiller.teacher_features(batch.teacher_inputs)
    rows: list[list[Titled]] = []
    for level, mask in distiller.make_masks(taught, batch.targets).items():
        feature, shown = _array(getattr(taught, level)), _array(mask)[0]
        told = f"{run.name}: {level} mask, {shown.min():.2f} to {shown.max():.2f}"
        rows.append(
            [
                (f"teacher: {level} level", feature_picture(feature, SIDE)),
                (told, heat_picture(shown / max(1.0, float(shown.max())), SIDE)),
                (f"{run.name}: masked {level} level", feature_picture(feature * shown, SIDE)),
            ]
        )
    return rows


@torch.inference_mode()
def _forward(model: Perception, sample: Sample) -> Output:
    output: Output = model(collate([sample], model.config).inputs)
    return output


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    """The first of a batch as an array."""
    array: NDArray[np.float32] = values[0].float().cpu().numpy()
    return array


def _save(picture: Image.Image, path: Path) -> Path:
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    return path
