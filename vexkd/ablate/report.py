"""A suite's results on screen and as files: ``results.json``, ``results.md``, ``results.png``, ``report.html``."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vexkd.ablate.plot import draw
from vexkd.ablate.tables import cells, headers, legend, title
from vexkd.plugins.files import write_text
from vexkd.viz.html import figure, page, paragraph, table

REPORTS = "reports"


def write_report(out: Path, results: dict[str, Any]) -> Path:
    """Write all files of a suite into a study's folder; the path of ``report.html``."""
    folder = out / REPORTS / results["suite"]
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    write_text(folder / "results.md", as_markdown(results))
    plot = draw(results["groups"], folder / "results.png") if results["groups"] else None
    write_text(folder / "report.html", as_html(results, plot, folder))
    return folder / "report.html"


def print_results(results: dict[str, Any], console: Console | None = None) -> None:
    """Tables on screen."""
    console = console or Console()
    console.print(results["question"], markup=False)
    for group in results["groups"]:
        shown = Table(title=escape(title(group)))
        for name in headers(group):
            shown.add_column(escape(name), justify="left" if name == "row" else "right", overflow="fold")
        for row in cells(group):
            shown.add_row(*(escape(_stacked(cell)) for cell in row))
        console.print(shown)
        console.print(legend(group)[0], style="dim", markup=False, highlight=False)
    for line in circumstances(results):
        console.print(line, style="dim", markup=False, highlight=False)
    for name, reason in results["failures"].items():
        console.print(f"failed: {name}: {reason}", style="red", markup=False, highlight=False)


def circumstances(results: dict[str, Any]) -> list[str]:
    """What the figures were made with, a line each."""
    data = results["data"]
    train, val = data["train"], data["val"]
    return [
        f"Command: {results['command']}",
        f"Data: {data['root']} ({data['version']}); students train on {_part(train)}, figures are of {_part(val)}",
        f"Recipes: {results['scale']}; seeds: {results['seeds']}, of teachers that teach: 1",
        f"Commit: {', '.join(results['commits']) or 'unknown'}",
        f"Machine: {'; '.join(results['machines']) or 'unknown'}",
    ]


def _stacked(cell: str) -> str:
    """A cell in short lines, for a screen."""
    return cell.replace(" ± ", "\n± ").replace(" [", "\n[").replace(" not significant", "\nnot significant")


def _part(part: dict[str, Any]) -> str:
    return f"{part['split']} ({part['scenes']} scenes, {part['keyframes']} keyframes)"


def as_markdown(results: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"# vexkd ablate {results['suite']}", "", results["question"], ""]
    for group in results["groups"]:
        names = headers(group)
        lines += [f"## {title(group)}", "", _line(names), _line(["---", *["---:"] * (len(names) - 1)])]
        lines += [_line(row) for row in cells(group)]
        first, *rows = legend(group)
        lines += ["", first.replace("*", "\\*"), "", *(f"- {row}" for row in rows), ""]
    if results["failures"]:
        lines += ["## Failed", "", *(f"- {name}: {reason}" for name, reason in results["failures"].items()), ""]
    return "\n".join([*lines, *(f"- {line}" for line in circumstances(results))]) + "\n"


def as_html(results: dict[str, Any], plot: Path | None, folder: Path) -> str:
    """The report as one page; ``plot`` lies in its folder."""
    sections: list[tuple[str, list[str]]] = []
    for group in results["groups"]:
        notes = [paragraph(line, soft=True) for line in legend(group)]
        sections.append((title(group), [table(headers(group), cells(group)), *notes]))
    if plot is not None:
        caption = "Left: a dot per seed, the bar is their mean. Right: the paired difference and its interval."
        sections.append(("All seeds", [figure(plot, caption, folder)]))
    if results["failures"]:
        rows = [[name, reason] for name, reason in results["failures"].items()]
        sections.append(("Failed", [table(["run", "why"], rows)]))
    sections.append(("How it was made", [paragraph(line) for line in circumstances(results)]))
    return page(f"vexkd ablate {results['suite']}", results["question"], sections)


def _line(parts: list[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|").replace("*", "\\*") for part in parts) + " |"
