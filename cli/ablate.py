"""``vexkd ablate``."""

from pathlib import Path
from typing import Annotated

import typer


def ablate(
    suite: Annotated[str, typer.Argument(help="main, components, masks, depth, losses, robustness or leaderboard.")],
    data: Annotated[Path, typer.Option(metavar="ROOT", help="Data root in nuScenes' layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; suites in one folder share their runs.")] = Path(
        "runs/ablate"
    ),
    scale: Annotated[str, typer.Option(help="quick (a look), cpu, or nuscenes (the paper's sizes).")] = "cpu",
    tasks: Annotated[
        list[str] | None, typer.Option(help="detection or segmentation; may be repeated, by default both.")
    ] = None,
    sensors: Annotated[
        list[str] | None, typer.Option(help="The student's, lidar or camera; may be repeated, by default both.")
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this row and the baseline; may be repeated.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; by default the scale's: 2, 3, 1.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting of all runs that have it; may be repeated."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Trainings side by side, one thread each.")] = 1,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Run an experiment of the paper: train every row over several seeds and compare them in pairs."""
    import shlex
    import sys

    from rich.console import Console

    from vexkd.ablate.ablate import ablate as run
    from vexkd.ablate.report import print_results
    from vexkd.ablate.request import make_request
    from vexkd.evaluation.tables import print_json

    command = shlex.join(["vexkd", *sys.argv[1:]])
    request = make_request(
        suite, data, out, scale, tasks or (), sensors or (), rows or (), seeds, set_ or (), jobs, command
    )
    progress = Console(stderr=True)
    results = run(request, lambda line: progress.print(line, markup=False, highlight=False))
    print_json(results) if json_ else print_results(results)
    if results["failures"]:
        raise typer.Exit(1)
