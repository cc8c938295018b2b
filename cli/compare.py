"""``vexkd compare``."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Bundle.")],
    b: Annotated[Path | None, typer.Argument(metavar="[B]", help="Another; by default A, on another backend.")] = None,
    device: Annotated[str, typer.Option(help="What runs A: cpu, bodies (function bodies), cuda, tensorrt.")] = "cpu",
    other_device: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What runs B.", show_default="as A; bodies without B")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data root in nuScenes' format.", show_default="a made-up frame")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the data, or `all`.")] = "all",
    samples: Annotated[int | None, typer.Option(min=1, help="At most so many keyframes.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up frame.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Threads of ONNX Runtime; 0 takes all cores.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Run the same frames through two bundles, or two backends of one; exit code 1 if they differ beyond tolerance."""
    from rich.console import Console
    from rich.progress import Progress

    from vexkd.cli.bundle_reports import parse_backend, print_comparison
    from vexkd.cli.frames import find_frames
    from vexkd.engines.bundle import read_bundle
    from vexkd.export.compare import compare as compare_bundles

    backend = parse_backend(device, "--device")
    other = parse_backend(other_device or (device if b is not None else "bodies"), "--other-device")
    one = read_bundle(a)
    another = one if b is None else read_bundle(b)
    frames, count, told = find_frames((one, another), data, split, samples, seed)
    with Progress(console=Console(stderr=True), disable=json_, transient=True) as progress:
        task = progress.add_task("comparing", total=count)
        found = compare_bundles(one, another, frames, (backend, other), threads, lambda: progress.advance(task))
    typer.echo(found.model_dump_json(indent=2)) if json_ else print_comparison(found, told)
    if not found.agree:
        raise typer.Exit(1)
