"""``vexkd export``."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Run folder that `vexkd train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Bundle to write.", show_default="RUN/NAME-PRECISION.vexkd")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Run in FP16 what is safe in FP16.")] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="GPU", help="Also build a TensorRT engine: rtx3090, rtx4090, rtx5090, h100; repeatable."),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Size of the cameras' raw images.", show_default="that of the run's data"),
    ] = None,
    cpu_only: Annotated[
        bool,
        typer.Option("--cpu-only", help="Build engines even if the native library has no GPU code; they never run."),
    ] = False,
    gate_split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Measure accuracy on it.", show_default="data.val_split of the run"),
    ] = None,
    gate_frames: Annotated[
        int, typer.Option(metavar="N", help="Keyframes to measure accuracy on, at most; evenly spread.")
    ] = 200,  # vexkd.export.gate.FRAMES, whose import takes seconds
    accept: Annotated[
        bool, typer.Option("--accept", help="Write the bundle even if it is less accurate than the trained model.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON and nothing else.")] = False,
) -> None:
    """Export a trained run as a bundle: ONNX with our operators, engines, plugin library, manifest.

    Refused if the bundle is less accurate than the trained model (FP32 and FP16: by more than 0.5 %, at least 0.005).
    """
    from rich.console import Console

    from vexkd.cli.report import parse_size, print_manifest
    from vexkd.engines.bundle import read_bundle
    from vexkd.export.export import export_run
    from vexkd.export.gate import Gate

    size = None if image_size is None else parse_size(image_size)
    with Console(stderr=True, quiet=json_).status("export") as status:
        path = export_run(
            run,
            out,
            "fp16" if fp16 else "fp32",
            target or [],
            size,
            cpu_only,
            lambda step: status.update(step),
            Gate(gate_split, gate_frames, accept),
        )
    bundle = read_bundle(path)
    typer.echo(bundle.manifest.model_dump_json(indent=2)) if json_ else print_manifest(bundle)
