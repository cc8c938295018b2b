"""``vexkd eval``."""

from pathlib import Path
from typing import Annotated

import typer


def eval_(
    model: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="Run folder, or bundle (NAME.vexkd).")],
    data: Annotated[Path | None, typer.Option(help="Data root; by default that of the run's config.")] = None,
    split: Annotated[str | None, typer.Option(help="Split, or `all`; by default data.val_split of the config.")] = None,
    match: Annotated[
        float | None,
        typer.Option(metavar="R", help="Also recall and precision of boxes within R metres of an object's centre."),
    ] = None,
    submission: Annotated[Path | None, typer.Option(help="Write the nuScenes submission JSON to this file.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Evaluate a trained run or an exported bundle: mAP and NDS, or mIoU."""
    from vexkd.cli.predictors import evaluate_path
    from vexkd.evaluation.tables import print_json, print_metrics

    metrics = evaluate_path(model, data, split, match, submission, progress=not json_)
    print_json(metrics) if json_ else print_metrics(metrics)
