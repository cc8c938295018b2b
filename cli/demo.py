"""``vexkd demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier demo's is replaced.")] = Path("runs/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="The whole way in 3 minutes, learning little.")] = False,
    target: Annotated[str, typer.Option(metavar="GPU", help="GPU to build the engines for.")] = "rtx4090",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data and of every training.")] = 0,
) -> None:
    """Synthetic data, teacher, plain and distilled students, export, engines, benchmark, and a report of it all."""
    from vexkd.cli.demo_steps import FULL, QUICK, run_demo

    report = run_demo(out, QUICK if quick else FULL, target, seed)
    typer.echo(f"Report: {report}")
