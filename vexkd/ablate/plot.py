"""Rows as dots per seed and their mean, beside the interval of the paired difference to the baseline."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vexkd.ablate.tables import title
from vexkd.plugins.files import replacing

INK, SOFT, SIGNIFICANT = "#1d2433", "#9aa3b5", "#14803c"


def draw(groups: list[dict[str, Any]], path: Path) -> Path:
    """Write a PNG with one line of panels per group and figure; returns its path."""
    panels = [(group, name) for group in groups for name in group["rows"][0]["figures"]]
    heights = [0.9 + 0.32 * len(group["rows"]) for group, _ in panels]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (values, differences), (group, name) in zip(axes, panels, strict=True):
        _values(values, group, name)
        _differences(differences, group, name)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return path


def _values(axes: Axes, group: dict[str, Any], name: str) -> None:
    for y, row in enumerate(group["rows"]):
        if found := row["figures"].get(name):
            values = list(found["values"].values())
            axes.plot(values, [y] * len(values), "o", color=SOFT, markersize=5)
            axes.plot([found["mean"]], [y], "|", color=INK, markersize=16, markeredgewidth=2)
    axes.set_title(f"{title(group)}: {name}", fontsize=10)
    axes.set_yticks(range(len(group["rows"])), [row["row"] for row in group["rows"]])
    axes.set_ylim(len(group["rows"]) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _differences(axes: Axes, group: dict[str, Any], name: str) -> None:
    for y, row in enumerate(group["rows"]):
        difference = row["figures"].get(name, {}).get("difference")
        if difference is None:
            continue
        colour = SIGNIFICANT if difference["significant"] else INK
        if difference["interval"] is not None:
            axes.plot(difference["interval"], [y, y], "-", color=colour, linewidth=2)
        axes.plot([difference["mean"]], [y], "o" if difference["interval"] else "x", color=colour, markersize=6)
    axes.axvline(0, color=SOFT, linewidth=1)
    axes.set_title(f"difference to {group['baseline']!r}, 95 % interval (x: one seed)", fontsize=10)
    axes.set_ylim(len(group["rows"]) - 0.5, -0.5)
    axes.set_yticks(range(len(group["rows"])), [""] * len(group["rows"]))
    axes.grid(axis="x", alpha=0.3)
