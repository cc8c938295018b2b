"""How strong imitation was beside the task, over the steps of distillations."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from vexkd.plugins.files import replacing


def draw_ratios(logs: Mapping[str, Path], path: Path) -> Path:
    """Draw the measured ``kd_ratio`` of runs against their steps as a PNG; returns its path.

    Args:
        logs: the file ``log.jsonl`` of each run, by the name that the legend shows.
        path: file to write.
    """
    figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, log in logs.items():
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        measured = [(row["step"], row["kd_ratio"]) for row in rows if "kd_ratio" in row]
        axes.plot(*zip(*measured, strict=True), marker="o", markersize=3, label=name) if measured else None
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.set_xlabel("step")
    axes.set_ylabel("gradient norm of λ · KD over the task's")
    axes.legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
