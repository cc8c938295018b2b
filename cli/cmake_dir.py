"""``vexkd cmake-dir``."""

import typer


def cmake_dir() -> None:
    """Print the folder for CMAKE_PREFIX_PATH, with which find_package(vexkd) works."""
    from vexkd.engines.native import cmake_prefix

    typer.echo(cmake_prefix())
