"""``vexkd onnxruntime-path``."""

import typer


def onnxruntime_path() -> None:
    """Print the libonnxruntime.so of the installed package, for VEXKD_ONNXRUNTIME and C++ programs."""
    from vexkd.engines.native import onnxruntime_library

    typer.echo(onnxruntime_library())
