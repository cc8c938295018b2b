"""Counts the recipes of ``configs/nuscenes`` as FP16 exports, untrained, into a record that docs and tests read.

python -m benchmarks.costs [--json docs/results/costs.json]
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vexkd.config import load_config
from vexkd.engines.manifest import Cost
from vexkd.export.cost import recipe_cost
from vexkd.plugins.files import write_text

RECIPES = Path("configs/nuscenes")
NAMES = [f"{task}/{model}" for task in ("detection", "segmentation") for model in ("camera", "lidar", "teacher")]


def print_cost(name: str, cost: Cost) -> None:
    table = Table("stage", "GFLOPs", "GMACs", "M parameters", "MB moved", "FLOP/byte", "launches", title=name)
    for stage in cost.stages:
        figures = (stage.gflops, sum(stage.gmacs.values()), stage.parameters / 1e6, stage.megabytes, stage.intensity)
        table.add_row(stage.stage, *(f"{figure:.1f}" for figure in figures), str(stage.launches))
    Console().print(table, f"{cost.gflops:.1f} GFLOPs, {cost.parameters / 1e6:.1f} M parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("docs/results/costs.json"))
    arguments = parser.parse_args()
    costs = {name: recipe_cost(load_config(RECIPES / f"{name}.yaml"), half=True) for name in NAMES}
    for name, cost in costs.items():
        print_cost(name, cost)
    record = {
        "what": "FP16 exports of configs/nuscenes at 6 x 900 x 1600 images and the recipes' point capacity",
        "command": "python -m benchmarks.costs",
        "recipes": {name: cost.model_dump() for name, cost in costs.items()},
    }
    write_text(arguments.json, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
