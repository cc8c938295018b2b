"""``vexkd inspect``."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Bundle (NAME.vexkd).")],
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Say on a page what a bundle is: model, inputs, precision, parity, engines and whether they run here, files."""
    from vexkd.cli.bundle_reports import print_inspection
    from vexkd.engines.bundle import read_bundle
    from vexkd.engines.inspection import inspect_bundle

    found = inspect_bundle(read_bundle(bundle))
    typer.echo(found.model_dump_json(indent=2)) if json_ else print_inspection(found)
