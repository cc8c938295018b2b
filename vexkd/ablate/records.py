"""One JSON record per row and seed: everything that is needed to believe a figure, or to make it again."""

import json
import re
from pathlib import Path
from typing import Any

from vexkd.ablate.missing import metrics_without
from vexkd.ablate.plan import PlannedRun, Trial
from vexkd.ablate.suites import Suite
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import write_text
from vexkd.training.run import METRICS

RECORDS = "records"
MISSING = {"lidar": "without LiDAR", "camera": "without cameras"}
FIGURES = {"detection": ("mAP", "NDS"), "segmentation": ("mIoU",)}


def make_record(suite: Suite, trial: Trial) -> dict[str, Any]:
    """The record of a finished trial.

    Raises:
        UserError: a file of the run is missing, or a further evaluation of it fails.
    """
    run, result = trial.run, read_result(trial.run)
    teacher = next((needed for needed in run.needs if run.config.distill is not None), None)
    return {
        "suite": suite.name,
        "task": trial.task,
        "sensor": trial.sensor,
        "row": trial.row.name,
        "description": trial.row.description,
        "seed": trial.seed,
        "metrics": result["metrics"],
        "without": {sensor: metrics_without(run.folder, sensor, run.config.data.root) for sensor in trial.row.without},
        "seconds": result["seconds"],
        "machine": result["machine"],
        "commit": result["commit"],
        "command": run.command(),
        "run": run.name,
        "teacher": None if teacher is None else {"run": teacher.name, "metrics": read_result(teacher)["metrics"]},
        "calibrated_weight": trial.weight,
        "distillation": result.get("distillation"),
        "split": result.get("split"),
        "resumed": result.get("resumed"),
        "config": run.config.model_dump(mode="json"),
    }


def write_record(out: Path, record: dict[str, Any]) -> Path:
    """Write a record into a study's folder; returns its path."""
    name = f"{record['task']}-{slug(record['sensor'])}-{slug(record['row'])}-seed{record['seed']}.json"
    path = out / RECORDS / str(record["suite"]) / name
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The figures of a record that tables compare, by their heading."""
    names = FIGURES[record["task"]]
    found = {name: record["metrics"][name] for name in names}
    for sensor, metrics in record["without"].items():
        found |= {f"{name} {MISSING[sensor]}": metrics[name] for name in names}
    return {name: value for name, value in found.items() if value is not None}


def read_result(run: PlannedRun) -> dict[str, Any]:
    """What ``metrics.json`` of a finished run holds.

    Raises:
        UserError: it is missing or damaged.
    """
    path = run.folder / METRICS
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete {run.folder} and start the suite again") from error
    return result


def slug(text: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")
