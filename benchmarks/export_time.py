"""What an export costs at full size on a CPU: seconds of every stage from checkpoint to verified bundle, and memory.

    python -m benchmarks.export_time [RECIPE...] [--target rtx4090] [--json runs/bench/export_time.json]

Each recipe is a process of its own, which makes a run folder of untrained weights (not counted), exports it in FP16 for
images of 900 x 1600 with an engine for the target, and verifies the bundle. The goal is 3 minutes and 8 GiB each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.record import write_record
from vexkd.engines.bench import measured_peak_mib, reset_peak_memory

DETECTION = Path("configs/nuscenes/detection")
RECIPES = [DETECTION / f"{name}.yaml" for name in ("camera", "lidar", "teacher")]
IMAGE_SIZE = (900, 1600)
GOAL_SECONDS, GOAL_GIB = 180, 8
VERIFYING = "verifying"
LEAST_SECONDS = 0.5
"""Shorter stages are in the record only."""


class Stages:
    """Seconds between the steps that an export tells of, and the largest memory of the process in each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_gib: dict[str, float] = {}
        self._name, self._start = "loading the run", time.perf_counter()

    def begin(self, name: str) -> None:
        """End the stage before and begin this one."""
        now = time.perf_counter()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._start
        self.peak_gib[self._name] = max(self.peak_gib.get(self._name, 0.0), measured_peak_mib() / 1024)
        reset_peak_memory()
        self._name, self._start = name, now


def make_run(recipe: Path, folder: Path) -> None:
    """A run folder of a recipe's model with its first weights; nothing is downloaded."""
    import torch

    from vexkd.config import load_config
    from vexkd.models.perception import Perception
    from vexkd.training.run import save_run

    torch.manual_seed(0)
    config = load_config(recipe, [])
    if config.model.camera is not None:
        config = load_config(recipe, ["model.camera.pretrained=null"])
    save_run(folder, config, Perception(config.model, config.task).state_dict())


def measure(run: Path, target: str) -> dict[str, Any]:
    """Export and verify a run in this process."""
    from vexkd.engines.targets import find_target
    from vexkd.export.engine_build import has_gpu_code
    from vexkd.export.export import export_run
    from vexkd.export.verify import verify_bundle

    stages = Stages()
    cpu_only = not has_gpu_code(find_target(target))
    bundle = export_run(run, None, "fp16", [target], IMAGE_SIZE, cpu_only, stages.begin)
    stages.begin(VERIFYING)
    found = verify_bundle(bundle, progress=lambda step: stages.begin(f"{VERIFYING}: {step}"))
    stages.begin("")
    assert found.sound, [step for step in found.steps if step.status == "failed"]
    return {
        "seconds": stages.seconds,
        "total_s": sum(stages.seconds.values()),
        "stage_peak_gib": stages.peak_gib,
        "peak_gib": max(stages.peak_gib.values()),
        "bundle_mib": sum(file.stat().st_size for file in bundle.iterdir()) / 2**20,
        "checks": {step.name: step.status for step in found.steps},
    }


def measure_recipe(recipe: Path, target: str) -> dict[str, Any]:
    """One row: a recipe's export in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / recipe.stem
        command = [sys.executable, "-m", "benchmarks.export_time", "--target", target]
        subprocess.run([*command, "--make", str(recipe), str(run)], check=True)
        done = subprocess.run([*command, "--measure", str(run)], check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"recipe": str(recipe), "target": target, **row}


def print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table("seconds (peak GiB)", title=f"goal: {GOAL_SECONDS} s and {GOAL_GIB} GiB each")
    for row in rows:
        table.add_column(Path(row["recipe"]).stem, justify="right")
    for stage in dict.fromkeys(stage for row in rows for stage in row["seconds"]):
        seconds = [(row["seconds"].get(stage, 0), row["stage_peak_gib"].get(stage, 0)) for row in rows]
        if max(seconds)[0] >= LEAST_SECONDS:
            table.add_row(stage, *(f"{took:.1f} ({peak:.2f})" for took, peak in seconds))
    table.add_section()
    table.add_row("in all", *(f"{row['total_s']:.1f}" for row in rows))
    table.add_row("peak GiB", *(f"{row['peak_gib']:.2f}" for row in rows))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path, nargs="*", metavar="RECIPE", default=RECIPES)
    parser.add_argument("--target", default="rtx4090")
    parser.add_argument("--json", type=Path, default=Path("runs/bench/export_time.json"))
    parser.add_argument("--make", type=Path, nargs=2, metavar=("RECIPE", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make is not None:
        make_run(*arguments.make)
        return
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.target)))
        return
    load = os.getloadavg()
    rows = [measure_recipe(recipe, arguments.target) for recipe in arguments.recipes]
    print_rows(rows)
    write_record(arguments.json, "export_time", rows, load)


if __name__ == "__main__":
    main()
