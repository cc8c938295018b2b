"""``vexkd viz``."""

from pathlib import Path
from typing import Annotated

import typer


def viz(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of one task, side by side.")],
    data: Annotated[Path | None, typer.Option(help="Data root; by default that of the first run.")] = None,
    split: Annotated[str | None, typer.Option(help="Split, or `all`; by default that of the first run.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Keyframes to draw, spread over the split.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("runs/viz"),
) -> None:
    """Draw what runs see: boxes or maps, BEV features, a teacher's fusion, and the masks of a distillation."""
    from vexkd.viz.runs import draw_runs

    for path in draw_runs(runs, data, split, samples, out):
        typer.echo(path)
