"""How a fusion teacher does when one of its sensors is missing."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vexkd.models.inputs import Inputs
from vexkd.models.missing import Sensor, leave_out
from vexkd.models.perception import Perception
from vexkd.plugins.files import write_text
from vexkd.training.metrics import evaluate_model
from vexkd.training.run import load_run
from vexkd.training.samples import open_dataset


def metrics_without(run: Path, sensor: Sensor, root: Path) -> dict[str, Any]:
    """Metrics of a teacher's run on its validation split under ``root`` without one sensor; kept in the run folder.

    Raises:
        UserError: the run folder or its data cannot be read.
    """
    kept = run / f"metrics-without-{sensor}.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    config, model = load_run(run)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    blind(model, sensor)
    config = config.model_copy(update={"data": config.data.model_copy(update={"root": root})})
    metrics = evaluate_model(model, open_dataset(config, config.data.val_split), workers=config.data.workers)
    write_text(kept, json.dumps(metrics, indent=2) + "\n")
    return metrics


def blind(model: Perception, sensor: Sensor) -> None:
    """Make a teacher see its inputs without a sensor, whoever calls it."""

    def without(module: nn.Module, arguments: tuple[Inputs, ...]) -> tuple[Inputs, ...]:
        return (leave_out(arguments[0], sensor), *arguments[1:])

    model.register_forward_pre_hook(without)
