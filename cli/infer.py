"""``vexkd infer``."""

from pathlib import Path
from typing import Annotated

import typer


def infer(
    bundle: Annotated[Path, typer.Argument(help="Bundle (NAME.vexkd).")],
    data: Annotated[Path, typer.Option(help="Data root in nuScenes' format.")],
    split: Annotated[str, typer.Option(help="Split of the data, or `all`.")] = "all",
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="runs/infer/NAME")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="At most so many keyframes.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (ONNX Runtime) or tensorrt.")] = "auto",
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw each keyframe.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print the results as JSON and nothing else.")] = False,
) -> None:
    """Run a bundle over a data set: boxes or maps of each keyframe, as JSON and as pictures."""
    import json

    from rich.console import Console
    from rich.progress import track

    from vexkd.cli.inference import open_frames, run_frames
    from vexkd.cli.report import parse_device
    from vexkd.engines.bundle import read_bundle
    from vexkd.engines.pipeline import Pipeline

    chosen = parse_device(device)
    verified = read_bundle(bundle)
    out = out or Path("runs") / "infer" / verified.name
    frames, count = open_frames(verified, data, split, samples)
    shown = track(frames, "inference", count, console=Console(stderr=True), disable=json_)
    results = run_frames(Pipeline(verified, chosen), shown, out, pictures)
    typer.echo(json.dumps(results, indent=2) if json_ else f"{out}: {count} keyframes, {out / 'results.json'}")
