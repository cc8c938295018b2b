"""``vexkd train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML recipe, such as configs/nuscenes/detection/lidar.yaml.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting of the recipe; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write.", show_default="runs/NAME OF THE RECIPE")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")] = False,
) -> None:
    """Train a teacher, a student, or a student by distillation, and evaluate it."""
    from vexkd.config import load_config
    from vexkd.evaluation.tables import print_metrics
    from vexkd.training.train import train as run

    out = out or Path("runs") / config.stem
    result = run(load_config(config, set_), out, resume)
    if result:
        print_metrics(result["metrics"])
        typer.echo(f"{out}: trained in {result['seconds']} s")
