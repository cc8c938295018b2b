"""Metrics on screen: rich tables, or one JSON document."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from vexkd.evaluation.detection import ERRORS


def print_json(metrics: dict[str, Any]) -> None:
    """Print one JSON document on stdout and nothing else."""
    print(json.dumps(metrics, indent=2))


def print_metrics(metrics: dict[str, Any], console: Console | None = None) -> None:
    """Print the metrics of a detection or segmentation evaluation as tables."""
    console = console or Console()
    if "mIoU" in metrics:
        console.print(_segmentation(metrics))
        return
    console.print(_detection(metrics))
    if "match" in metrics:
        console.print(_match(metrics["match"]))


def _detection(metrics: dict[str, Any]) -> Table:
    table = Table(title=f"nuScenes detection: mAP {metrics['mAP']:.4f}, NDS {metrics['NDS']:.4f}")
    columns = ("AP", *ERRORS.values())
    _columns(table, "class", *columns)
    for name, row in metrics["classes"].items():
        table.add_row(name, *(_number(row[column]) for column in columns))
    table.add_section()
    table.add_row("mean", _number(metrics["mAP"]), *(_number(metrics[f"m{error}"]) for error in ERRORS.values()))
    return table


def _match(match: dict[str, Any]) -> Table:
    threshold = match["threshold"]
    rule = (
        f"objects with at least {match['min_points']} LiDAR points within {match['max_range']} m, "
        f"centre within {match['radius']} m, "
    )
    chosen = (
        f"score at least {threshold:.3f} (the lowest at which precision reaches {match['min_precision']})"
        if threshold is not None
        else f"no score reaches precision {match['min_precision']}"
    )
    table = Table(title="Found " + rule + chosen)
    columns = ("recall", "precision", "objects", "found", "false")
    _columns(table, "class", *columns)
    for name, row in match["classes"].items():
        table.add_row(name, *(_number(row[column]) for column in columns))
    table.add_section()
    table.add_row("all", *(_number(match[column]) for column in columns))
    return table


def _segmentation(metrics: dict[str, Any]) -> Table:
    table = Table(title=f"Map segmentation: mIoU {_number(metrics['mIoU'])}")
    _columns(table, "class", "IoU", "threshold")
    for name, row in metrics["classes"].items():
        table.add_row(name, _number(row["IoU"]), _number(row["threshold"]))
    return table


def _columns(table: Table, first: str, *others: str) -> None:
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
