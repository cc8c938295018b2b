"""``vexkd export``."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="Run folder, or a bundle that is to get further engines.")
    ],
    out: Annotated[Path | None, typer.Option(help="Bundle to write.", show_default="RUN/NAME-PRECISION.vexkd")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Run in FP16 what is safe in FP16.")] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "--add-target",
            metavar="GPU",
            help="Also build a TensorRT engine: rtx2080ti, rtx3090, rtx4090, rtx5090, a100, h100, l4, orin, thor, "
            "this (the GPU here), or a capability such as 8.9; repeatable. Added to a bundle if one is given.",
        ),
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
    Given a bundle, build further engines for it: vexkd export BUNDLE --add-target rtx3090.
    """
    from rich.console import Console

    from vexkd.cli.report import parse_size, print_manifest
    from vexkd.engines.bundle import read_bundle
    from vexkd.engines.manifest import MANIFEST
    from vexkd.export.add_engine import add_engines
    from vexkd.export.export import export_run
    from vexkd.export.gate import Gate
    from vexkd.plugins.errors import UserError

    size = None if image_size is None else parse_size(image_size)
    is_bundle = (run / MANIFEST).is_file()
    if is_bundle and (not target or out is not None or fp16 or size is not None):
        raise UserError(f"{run} is a bundle, to which engines are added: give --add-target GPU, and no other option")
    with Console(stderr=True, quiet=json_).status("export") as status:
        if is_bundle:
            bundle = add_engines(run, target or [], cpu_only, lambda step: status.update(step))
        else:
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
