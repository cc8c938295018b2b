"""``vexkd doctor``."""

from typing import Annotated

import typer


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Say what is installed and what it is good for; exit code 1 if something essential is broken."""
    import json

    from vexkd.cli.report import print_checks
    from vexkd.engines.doctor import examine, is_sound

    checks = examine()
    if json_:
        typer.echo(
            json.dumps({"sound": is_sound(checks), "checks": [check.model_dump() for check in checks]}, indent=2)
        )
    else:
        print_checks(checks)
    if not is_sound(checks):
        raise typer.Exit(1)
