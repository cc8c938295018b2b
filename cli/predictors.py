"""A run folder or a bundle, whichever the user names, as the predictor that evaluation takes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vexkd.config import DataConfig
from vexkd.data.sample import Sample
from vexkd.evaluation.run import Predictor, evaluate_split
from vexkd.plugins.errors import UserError


def evaluate_path(
    path: Path,
    root: Path | None,
    split: str | None,
    match_radius: float | None,
    submission: Path | None,
    progress: bool,
) -> dict[str, Any]:
    """Metrics of a run folder or bundle.

    Raises:
        UserError: what ``path`` names cannot be read, or the data is wrong.
    """
    if path.is_dir() and (path / "manifest.json").is_file():
        if root is None:
            raise UserError("a bundle does not say where its data lies; give --data ROOT")
        predictor, data = open_bundle(path, root)
        default_split = "val"
    else:
        predictor, data, default_split = open_run(path)
        if root is not None:
            data = data.model_copy(update={"root": root, "version": None})
    tracked = _progress if progress else None
    return evaluate_split(predictor, data, split or default_split, match_radius, submission, tracked)


def open_run(path: Path) -> tuple[Predictor, DataConfig, str]:
    """The predictor of a run folder on the accelerator if there is one, its data settings and its split."""
    import torch

    from vexkd.training.predict import model_predictor
    from vexkd.training.run import load_run

    config, model = load_run(path)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model_predictor(model), config.data, config.data.val_split


def open_bundle(path: Path, root: Path) -> tuple[Predictor, DataConfig]:
    """The predictor of a bundle on the best runtime of this machine, with all its boxes, whatever their score."""
    from vexkd.cli.inference import data_config
    from vexkd.engines.bundle import read_bundle
    from vexkd.engines.pipeline import Pipeline
    from vexkd.export.predictor import bundle_predictor

    bundle = read_bundle(path)
    return bundle_predictor(Pipeline(bundle, score_threshold=0.0)), data_config(bundle, root)


def _progress(samples: Iterable[Sample], count: int) -> Iterable[Sample]:
    from rich.console import Console
    from rich.progress import track

    return track(samples, "evaluating", total=count, console=Console(stderr=True))
