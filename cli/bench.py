"""``vexkd bench``."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles to measure.")],
    against: Annotated[Path | None, typer.Option(metavar="TEACHER", help="Bundle to compare them with.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (ONNX Runtime) or tensorrt.")] = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Measured runs of each bundle.")] = 50,
    warm_up: Annotated[int, typer.Option(min=0, help="Runs before them that do not count.")] = 5,
    threads: Annotated[int, typer.Option(min=0, help="Threads of ONNX Runtime; 0 takes all cores.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Measure latency, frame rate, GFLOPs and memory of bundles at batch 1, from sensor input to result."""
    from rich.console import Console
    from rich.progress import Progress

    from vexkd.cli.report import parse_device, print_bench
    from vexkd.engines.bench import bench_bundles
    from vexkd.engines.bundle import read_bundle

    chosen = parse_device(device)
    students = [read_bundle(path) for path in bundles]
    reference = None if against is None else read_bundle(against)
    count = (len(students) + (reference is not None)) * (repeats + warm_up)
    with Progress(console=Console(stderr=True), disable=json_, transient=True) as progress:
        task = progress.add_task("measuring", total=count)
        report = bench_bundles(
            students, reference, chosen, repeats, warm_up, threads, advance=lambda: progress.advance(task)
        )
    typer.echo(report.model_dump_json(indent=2)) if json_ else print_bench(report)
