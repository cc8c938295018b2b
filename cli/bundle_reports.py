"""What bundles are, whether they are sound and how they differ, on screen."""

from typing import cast, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vexkd.cli.report import accuracy_rows, box_agreement, one_of
from vexkd.engines.inspection import Inspection
from vexkd.engines.manifest import Engine, Manifest, TypeCounts
from vexkd.export.compare import Comparison
from vexkd.export.contestant import Backend
from vexkd.export.verify import Verification

COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow"}


def parse_backend(text: str, option: str) -> Backend:
    """A backend by its name.

    Raises:
        UserError: there is no such backend.
    """
    return cast(Backend, one_of(text, option, get_args(Backend)))


def print_inspection(found: Inspection) -> None:
    """A bundle on one page."""
    manifest = found.manifest
    table = Table(title=escape(found.path), show_header=False)
    for row in (*_model(manifest), *_quality(manifest)):
        table.add_row(*map(escape, row))
    for row in accuracy_rows(manifest.accuracy):
        table.add_row(*row)
    table.add_section()
    for engine, state in zip(manifest.engines, found.engines, strict=True):
        here = "[green]runs here[/]" if state.runs_here else f"[yellow]{escape(state.reason)}[/]"
        table.add_row(f"engine {escape(engine.target)}", f"{escape(_engine(engine))}\n{here}")
    if not manifest.engines:
        table.add_row("engines", escape(f"none; add one with: vexkd export {found.path} --add-target GPU"))
    table.add_section()
    for name, size in found.files.items():
        table.add_row(escape(name), _mib(size))
    Console().print(table)


def print_verification(found: Verification) -> None:
    """Every check with its outcome."""
    table = Table("check", "status", "detail", title=escape(found.bundle))
    for step in found.steps:
        table.add_row(escape(step.name), f"[{COLOURS[step.status]}]{step.status}[/]", escape(step.detail))
    Console().print(table)


def print_comparison(found: Comparison, frames: str) -> None:
    """Differences of the outputs, then the verdict."""
    console = Console()
    console.print(f"A  {found.a}\nB  {found.b}\non {frames}", markup=False, highlight=False)
    table = Table("tensor", title="largest differences")
    for column in ("absolute", "relative", "same bits"):
        table.add_column(column, justify="right")
    for one in found.outputs:
        table.add_row(escape(one.name), f"{one.max_abs:.2e}", f"{one.max_rel:.2e}", "yes" if one.identical else "no")
    console.print(table)
    if found.boxes is not None:
        console.print(box_agreement(found.boxes))
    told = f"allowed are {found.tolerance:.0e} relative and {found.centre_tolerance * 100:.0f} cm"
    console.print(f"[green]they agree[/]; {told}" if found.agree else f"[red]they differ[/]; {told}")
    for difference in found.differences:
        console.print(f"  {difference}", markup=False)
    if found.first is not None:
        console.print(
            f"first in the graph: {found.first.name}, {found.first.max_rel:.2e} of its magnitude", markup=False
        )
    elif found.first_detail:
        console.print(f"first in the graph: {found.first_detail}", markup=False)


def _model(manifest: Manifest) -> list[tuple[str, str]]:
    grid, source, selection = manifest.grid, manifest.source, manifest.selection
    rows = [
        ("task", f"{manifest.task}, {' + '.join(manifest.sensors)}, {manifest.precision}"),
        ("classes", ", ".join(manifest.classes)),
        ("grid", f"{grid.height} x {grid.width} cells of {grid.cell:g} m; x {_span(grid.x)}, y {_span(grid.y)}"),
    ]
    if manifest.camera is not None:
        camera = manifest.camera
        raw, used = ("x".join(map(str, size)) for size in (camera.raw_size, camera.image_size))
        rows.append(("cameras", f"{len(camera.cameras)}: {', '.join(camera.cameras)}; images {raw}, used as {used}"))
    if manifest.points is not None:
        rows.append(("points", f"up to {manifest.points.capacity} from 1 + {manifest.points.sweeps} sweeps"))
    rows += [(f"input {t.name}", f"{t.dtype} {list(t.shape)}") for t in manifest.inputs]
    rows += [(f"output {t.name}", f"{t.dtype} {list(t.shape)}") for t in manifest.outputs]
    if selection is not None:
        kinds = ", ".join(sorted({rule.suppression for rule in selection.classes}))
        rows.append(("selection", f"score from {selection.score_threshold:g}, suppression: {kinds}"))
    commit = "" if source.git_commit is None else f", commit {source.git_commit[:12]}"
    versions = f"vexkd {source.vexkd}, torch {source.torch}, onnx {source.onnx}"
    return [*rows, ("source", f"{source.run} ({source.stage}){commit}; {versions}")]


def _quality(manifest: Manifest) -> list[tuple[str, str]]:
    cost, parity = manifest.cost, manifest.parity
    rows = [
        ("cost", f"{cost.gflops:.2f} GFLOPs, {cost.parameters / 1e6:.2f} M parameters"),
        ("nodes", _counts(manifest.nodes)),
    ]
    for name, value in parity.outputs.items():
        rows.append((f"parity {name}", f"max {value.max_abs:.2e} absolute, {value.max_rel:.2e} relative"))
    if parity.boxes is not None:
        rows.append(("parity boxes", box_agreement(parity.boxes)))
    return [*rows, ("parity on", f"{parity.inputs}, {parity.runtime}")]


def _engine(engine: Engine) -> str:
    lines = [
        f"{engine.flavour} {engine.version}, compute capability {engine.compute_capability}, "
        f"{engine.plugin_layers} plugin layers",
        f"memory: {_mib(engine.activation_bytes)} activations, {_mib(engine.weight_bytes)} weights",
    ]
    return "\n".join([*lines, *([f"layers: {_counts(engine.layers)}"] if engine.layers else [])])


def _counts(counts: TypeCounts) -> str:
    """``fp16 94 (Conv 30, Relu 28, Add 20, ...), fp32 12 (...)``: the most frequent kinds of each type."""
    parts = []
    for kind, operators in sorted(counts.items(), key=lambda item: -sum(item[1].values())):
        often = sorted(operators.items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {number}" for name, number in often[:3]) + (", ..." if len(often) > 3 else "")
        parts.append(f"{kind} {sum(operators.values())} ({told})")
    return ", ".join(parts)


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g}..{limits[1]:g} m"


def _mib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**20:.2f} MiB"
