"""``vexkd verify``."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle (NAME.vexkd).")],
    threads: Annotated[int, typer.Option(min=0, help="Threads of ONNX Runtime; 0 takes all cores.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Check that a bundle is whole and works here: files, library, a frame through every runtime; else exit code 2."""
    from rich.console import Console

    from vexkd.cli.bundle_reports import print_verification
    from vexkd.export.verify import verify_bundle
    from vexkd.plugins.errors import UserError

    with Console(stderr=True, quiet=json_).status("verify") as status:
        found = verify_bundle(bundle, threads, lambda step: status.update(step))
    typer.echo(found.model_dump_json(indent=2)) if json_ else print_verification(found)
    failed = [f"{step.name}: {step.detail}" for step in found.steps if step.status == "failed"]
    if failed:
        raise UserError(failed[0] if len(failed) == 1 else f"{len(failed)} checks failed, the first is {failed[0]}")
