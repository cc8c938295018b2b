"""The command line's root: collects one function per file and turns a user's mistake into one line and exit code 2."""

import logging
import sys
import warnings

import typer

from vexkd import __version__
from vexkd.cli import data
from vexkd.cli.ablate import ablate
from vexkd.cli.bench import bench
from vexkd.cli.cmake_dir import cmake_dir
from vexkd.cli.compare import compare
from vexkd.cli.demo import demo
from vexkd.cli.doctor import doctor
from vexkd.cli.eval import eval_
from vexkd.cli.export import export
from vexkd.cli.infer import infer
from vexkd.cli.inspect import inspect
from vexkd.cli.onnxruntime_path import onnxruntime_path
from vexkd.cli.train import train
from vexkd.cli.verify import verify
from vexkd.cli.viz import viz
from vexkd.plugins.errors import UserError

app = typer.Typer(
    name="vexkd",
    help="Cross-modal knowledge distillation for bird's-eye-view perception: train, export, build, benchmark.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"vexkd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what the libraries underneath say, too."),
) -> None:
    """Options that stand before the command."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        warnings.simplefilter("ignore")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a :class:`UserError` becomes one line on stderr and exit code 2."""
    try:
        app(args=arguments)
    except UserError as error:
        print(f"vexkd: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


app.add_typer(data.app, name="data")
app.command(name="train")(train)
app.command(name="eval")(eval_)
app.command(name="export")(export)
app.command(name="infer")(infer)
app.command(name="inspect")(inspect)
app.command(name="verify")(verify)
app.command(name="compare")(compare)
app.command(name="bench")(bench)
app.command(name="viz")(viz)
app.command(name="ablate")(ablate)
app.command(name="demo")(demo)
app.command(name="doctor")(doctor)
app.command(name="cmake-dir")(cmake_dir)
app.command(name="onnxruntime-path")(onnxruntime_path)
