"""What a distilled training step costs beside the plain one and the teacher's forward.

    python -m benchmarks.distillation RUN [--seconds 20] [--out runs/bench/distillation.json]

RUN is the run folder of a distillation; its recipe, teacher and training data are used. Every contestant takes the
same batch, on one thread, in turns. The goal is 1.6 times the plain step plus the teacher's forward.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import microseconds
from vexkd.config import Config
from vexkd.data.collate import Batch
from vexkd.distill.distiller import Distiller
from vexkd.engines.machine import describe_machine
from vexkd.plugins.files import write_text
from vexkd.training.distillation import load_distiller
from vexkd.training.machine import git_commit
from vexkd.training.run import load_run_config
from vexkd.training.samples import open_dataset, training_loader

GOAL = 1.6


def steps(distiller: Distiller, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Forward and backward of each kind of step; the optimiser's part is the same in all."""
    assert batch.teacher_inputs is not None
    teacher_inputs = batch.teacher_inputs
    taught = distiller.teacher_features(teacher_inputs)
    masks = distiller.make_masks(taught, batch.targets)

    def plain() -> None:
        student = distiller.student
        student.loss(student(batch.inputs).prediction, batch.targets)["loss"].backward()

    def distilled(learn: bool, cached: bool) -> Callable[[], None]:
        def step() -> None:
            features = taught if cached else distiller.teacher_features(teacher_inputs)
            kept = masks if cached and not learn else None
            distiller(batch.inputs, features, batch.targets, learn, kept)["loss"].backward()

        return step

    return {
        "plain": plain,
        "teacher": lambda: distiller.teacher_features(teacher_inputs),
        "learning masks": distilled(learn=True, cached=False),
        "masks halted": distilled(learn=False, cached=False),
        "learning masks, cached": distilled(learn=True, cached=True),
        "masks halted, cached": distilled(learn=False, cached=True),
    }


def measure(config: Config, distiller: Distiller, seconds: float) -> list[dict[str, Any]]:
    """Median milliseconds of each kind of step, and what the goal allows it."""
    dataset = open_dataset(config, config.data.train_split, distiller.teacher.config, scenes=1)
    batch: Batch = next(iter(training_loader(dataset, config, distiller.teacher.config)))
    times = {name: us / 1e3 for name, us in microseconds(steps(distiller.train(), batch), seconds).items()}
    plain, teacher = times["plain"], times["teacher"]
    rows = []
    for name, took in times.items():
        allowed = {"plain": plain, "teacher": teacher}.get(name, GOAL * plain + (0 if "cached" in name else teacher))
        rows.append({"step": name, "ms": took, "to_plain": took / plain, "allowed_ms": allowed})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="per kind of step")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/distillation.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config, distiller = load_run_config(arguments.run), load_distiller(arguments.run)
    rows = measure(config, distiller, arguments.seconds)
    table = Table("step", "ms", "to plain", "goal, ms", title=f"{arguments.run.name}, batch {config.train.batch_size}")
    for row in rows:
        table.add_row(row["step"], f"{row['ms']:.1f}", f"{row['to_plain']:.2f}", f"{row['allowed_ms']:.1f}")
    Console().print(table)
    record = {
        "run": arguments.run.name,
        "config": config.model_dump(mode="json"),
        "rows": rows,
        "machine": describe_machine().model_dump(),
        "commit": git_commit(),
        "command": f"python -m benchmarks.distillation {arguments.run} --seconds {arguments.seconds:g}",
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
