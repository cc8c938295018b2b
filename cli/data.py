"""``vexkd data``: synthetic data and a look at any data root."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vexkd.data.info import DataInfo

app = typer.Typer(help="Generate synthetic data, or look through a data root.", no_args_is_help=True)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not exist.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of scenes; the last fifth is the split val.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    keyframes: Annotated[int, typer.Option(min=1, help="Keyframes per scene, 0.5 s apart.")] = 20,
    image_size: Annotated[str, typer.Option(metavar="HxW", help="Size of the six images in pixels.")] = "225x400",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes one per core.")] = 0,
) -> None:
    """Write a synthetic data set in nuScenes' own format: roads, traffic, LiDAR, six cameras, maps."""
    import os

    from rich.console import Console
    from rich.progress import Progress

    from vexkd.cli.report import parse_size
    from vexkd.data.synth.generate import SynthConfig, generate

    config = SynthConfig(scenes, seed, keyframes, parse_size(image_size))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scenes", total=scenes)
        generate(out, config, workers or os.cpu_count() or 1, lambda done: progress.update(task, completed=done))
    typer.echo(
        f"{scenes} scenes, {scenes * keyframes} keyframes in {out}; look through them with: vexkd data info {out}"
    )


@app.command()
def info(
    root: Annotated[Path, typer.Argument(help="Data root in nuScenes' layout.")],
    version: Annotated[str | None, typer.Option(help="Table folder; by default the only v1.0-* folder.")] = None,
    decode: Annotated[bool, typer.Option(help="Decode every file; minutes for a full data set.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Print counts, classes, splits, missing parts and damaged files of a data root."""
    import json

    from vexkd.data.info import examine

    found = examine(root, version, decode)
    typer.echo(json.dumps(found.as_dict(), indent=2)) if json_ else _print(found)


def _print(found: "DataInfo") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    summary = Table(title=escape(f"{found.root} ({found.version})"), show_header=False)
    summary.add_row("scenes", str(found.scenes))
    summary.add_row("keyframes", str(found.keyframes))
    for channel, count in found.files.items():
        summary.add_row(f"files {channel}", str(count))
    summary.add_row("splits (keyframes)", ", ".join(f"{name} {count}" for name, count in found.splits.items()))
    maps = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in found.locations.items())
    summary.add_row("map expansion", maps)
    console.print(summary)
    classes = Table("class", "boxes", "with LiDAR points", title="annotations")
    for name, (count, hit) in found.boxes.items():
        classes.add_row(name, str(count), str(hit))
    for name, count in found.other_categories.items():
        classes.add_row(f"({name})", str(count), "not detected")
    console.print(classes)
    for line in found.missing:
        console.print(f"missing: {line}", markup=False)
    for fault in found.damaged:
        console.print(f"damaged: keyframe {fault.token}: {fault.reason}", markup=False)
    if not found.damaged:
        console.print("no damaged keyframes")
