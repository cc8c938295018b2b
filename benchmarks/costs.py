"""Counts the recipes of ``configs/nuscenes`` as FP16 exports, untrained, and projects them onto an RTX 4090.

The record is what docs/bench.md and tests read.

python -m benchmarks.costs [--json docs/results/costs.json]
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vexkd.config import load_config
from vexkd.engines.cards import find_card
from vexkd.engines.manifest import Cost
from vexkd.engines.projection import Projection, project
from vexkd.export.cost import count_cost, recipe_graph
from vexkd.export.manifest import tensors
from vexkd.plugins.files import write_text

RECIPES = Path("configs/nuscenes")
CARD = "RTX 4090"
NAMES = [f"{task}/{model}" for task in ("detection", "segmentation") for model in ("camera", "lidar", "teacher")]


def print_cost(name: str, cost: Cost) -> None:
    table = Table("stage", "GFLOPs", "GMACs", "M parameters", "MB moved", "FLOP/byte", "launches", title=name)
    for stage in cost.stages:
        figures = (stage.gflops, sum(stage.gmacs.values()), stage.parameters / 1e6, stage.megabytes, stage.intensity)
        table.add_row(stage.stage, *(f"{figure:.1f}" for figure in figures), str(stage.launches))
    Console().print(table, f"{cost.gflops:.1f} GFLOPs, {cost.parameters / 1e6:.1f} M parameters")


def print_recipes(costs: dict[str, Cost]) -> None:
    table = Table("recipe", "GFLOPs", "of its teacher's", "GMACs", "M parameters", "MB moved", "launches")
    for name, cost in costs.items():
        teacher = costs[name.split("/")[0] + "/teacher"]
        macs, moved = sum(sum(s.gmacs.values()) for s in cost.stages), sum(s.megabytes for s in cost.stages)
        figures = (f"{cost.gflops:.0f}", f"{cost.gflops / teacher.gflops:.3f}", f"{macs:.0f}")
        launches = sum(stage.launches for stage in cost.stages)
        table.add_row(name, *figures, f"{cost.parameters / 1e6:.1f}", f"{moved:,.0f}", str(launches))
    Console().print(table)


def print_projections(projections: dict[str, Projection]) -> None:
    table = Table("recipe", "ms", "frames per second", "slowest stage at the fast end", title="projected, not measured")
    for name, found in projections.items():
        slowest = max(found.stages, key=lambda stage: stage.milliseconds.low)
        total, fps = found.total_ms, found.fps
        spans = (f"{total.low:.1f} .. {total.high:.1f}", f"{fps.low:.0f} .. {fps.high:.0f}")
        table.add_row(name, *spans, f"{slowest.stage} ({slowest.roof})")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("docs/results/costs.json"))
    arguments = parser.parse_args()
    costs, projections = {}, {}
    for name in NAMES:
        graph, parameters = recipe_graph(load_config(RECIPES / f"{name}.yaml"), half=True)
        costs[name] = count_cost(graph, parameters)
        projections[name] = project(costs[name], tensors(list(graph.graph.input)), find_card(CARD))
        print_cost(name, costs[name])
    print_recipes(costs)
    print_projections(projections)
    record = {
        "what": "FP16 exports of configs/nuscenes at 6 x 900 x 1600 images and the recipes' point capacity",
        "command": "python -m benchmarks.costs",
        "recipes": {name: cost.model_dump() for name, cost in costs.items()},
        "projected": {name: found.model_dump() for name, found in projections.items()},
    }
    write_text(arguments.json, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
