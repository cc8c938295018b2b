"""Options of the deployment commands, and their results on screen."""

import re
from typing import cast, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vexkd.engines.bench import Measurement, Report
from vexkd.engines.bundle import Bundle
from vexkd.engines.doctor import Check
from vexkd.engines.manifest import Accuracy, BoxParity
from vexkd.engines.session import Device
from vexkd.plugins.errors import UserError


def parse_size(text: str) -> tuple[int, int]:
    """``900x1600`` as (height, width).

    Raises:
        UserError: it is no such text.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UserError(f"--image-size takes HEIGHTxWIDTH in pixels, such as 900x1600, got {text!r}")
    return int(match[1]), int(match[2])


def parse_device(text: str) -> Device:
    """A device by its name.

    Raises:
        UserError: there is no such device.
    """
    return cast(Device, one_of(text, "--device", get_args(Device)))


def one_of(text: str, option: str, choices: tuple[str, ...]) -> str:
    """The text, if it is one of an option's choices.

    Raises:
        UserError: it is none.
    """
    if text not in choices:
        raise UserError(f"{option} takes {', '.join(choices)}, got {text!r}")
    return text


def print_manifest(bundle: Bundle) -> None:
    """What a bundle holds and how far it is from the trained model."""
    manifest = bundle.manifest
    table = Table(title=str(bundle.path), show_header=False)
    table.add_row("model", f"{manifest.task}, {' + '.join(manifest.sensors)}, {manifest.precision}")
    for tensor in manifest.inputs:
        table.add_row(f"input {tensor.name}", f"{tensor.dtype} {list(tensor.shape)}")
    for tensor in manifest.outputs:
        table.add_row(f"output {tensor.name}", f"{tensor.dtype} {list(tensor.shape)}")
    table.add_row("cost", f"{manifest.cost.gflops:.2f} GFLOPs, {manifest.cost.parameters / 1e6:.2f} M parameters")
    parity = manifest.parity
    for name, value in parity.outputs.items():
        told = f"max {value.max_abs:.2e} absolute, {value.max_rel:.2e} relative ({parity.runtime}, {parity.inputs})"
        table.add_row(f"parity {name}", told)
    if parity.boxes is not None:
        table.add_row("parity boxes", box_agreement(parity.boxes))
    for row in accuracy_rows(manifest.accuracy):
        table.add_row(*row)
    for engine in manifest.engines:
        told = f"{engine.flavour} {engine.version}, compute capability {engine.compute_capability}, "
        told += f"{engine.plugin_layers} plugin layers, {engine.size / 2**20:.1f} MiB"
        table.add_row(f"engine {engine.target}", told + ("" if engine.gpu_code else "; no GPU code, never runs"))
    Console().print(table)


def box_agreement(boxes: BoxParity) -> str:
    """How boxes of two models pair up."""
    told = f"{boxes.count} boxes ({boxes.ties} ties), {boxes.unmatched} unmatched, "
    return told + f"centres within {boxes.max_centre * 100:.2f} cm"


def accuracy_rows(accuracy: Accuracy | None) -> list[tuple[str, str]]:
    """Rows of a table, in rich's markup: where accuracy was measured, then every metric."""
    if accuracy is None:
        return [("accuracy", "not measured: no annotated keyframes were at hand")]
    told = f"on {accuracy.frames} of {accuracy.available} keyframes of {accuracy.split} ({accuracy.runtime})"
    told += ", a loss beyond the limit was accepted" if accuracy.accepted else ""
    rows = [("accuracy", escape(told))]
    for name, metric in accuracy.metrics.items():
        told = f"{metric.bundle:.4f}, trained {metric.reference:.4f}, may lose {metric.limit:.4f}"
        rows.append((f"accuracy {escape(name)}", told if metric.holds else f"[red]{told}[/]"))
    return rows


def print_bench(report: Report) -> None:
    """Costs of all bundles, then the stages of each."""
    console = Console()
    console.print(report.machine.line())
    console.print(_costs(report))
    for measurement in report.measurements:
        console.print(_stages(measurement))
    packages = ", ".join(f"{name} {version}" for name, version in report.machine.packages.items())
    console.print(f"batch 1; {packages}")


def print_checks(checks: list[Check]) -> None:
    """The doctor's table."""
    colours = {"ok": "green", "missing": "yellow", "broken": "red"}
    table = Table("what", "status", "detail")
    for check in checks:
        table.add_row(check.name, f"[{colours[check.status]}]{check.status}[/]", escape(check.detail))
    Console().print(table)


def _costs(report: Report) -> Table:
    table = Table("bundle")
    columns = ["p50 ms", "p90 ms", "p99 ms", "FPS", "engine FPS", "GFLOPs", "M parameters", "peak MiB"]
    columns += [] if report.against is None else ["x speed", "x GFLOPs", "x parameters", "x memory"]
    for column in columns:
        table.add_column(column, justify="right")
    ratios = {ratio.bundle: ratio for ratio in report.ratios}
    for m in report.measurements:
        total = m.total
        cells = [f"{value:.2f}" for value in (total.p50, total.p90, total.p99, m.fps, m.engine_fps, m.gflops)]
        cells += [f"{m.parameters / 1e6:.2f}", f"{m.peak_memory_mib:.0f}"]
        ratio = ratios.get(m.bundle)
        if ratio is not None:
            cells += [f"{value:.2f}" for value in (ratio.speedup, ratio.gflops, ratio.parameters, ratio.memory)]
        table.add_row(f"{m.bundle}\n{m.precision}, {m.runtime}", *cells)
    return table


def _stages(measurement: Measurement) -> Table:
    threads = measurement.threads or "all"
    title = f"{measurement.bundle}: {measurement.repeats} runs, {measurement.input}, {threads} threads"
    table = Table("stage", title=title)
    for column in ("mean ms", "p50", "p90", "p99"):
        table.add_column(column, justify="right")
    for stage in (*measurement.stages, measurement.total):
        cells = [f"{value:.3f}" for value in (stage.mean, stage.p50, stage.p90, stage.p99)]
        table.add_row(stage.stage, *cells, end_section=stage == measurement.stages[-1])
    return table
