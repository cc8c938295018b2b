"""Costs per stage against formulas by hand, and against torch's own counter."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hand_count import hand_count, resnet50_macs
from tiny_models import RAW_SIZE, tiny_config
from torch.utils.flop_counter import FlopCounterMode

from vexkd.config import Config, DataConfig, TrainConfig, load_config
from vexkd.engines.manifest import Cost
from vexkd.export.cost import RAW_SIZE as FULL_SIZE
from vexkd.export.cost import recipe_cost
from vexkd.export.deployment import Deployment
from vexkd.export.example import find_example
from vexkd.export.stages import MODULES
from vexkd.models.perception import Perception

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs/results/costs.json"
TASKS, MODELS = ("detection", "segmentation"), ("camera", "lidar", "teacher")
RECIPES = [f"{task}/{model}" for task in TASKS for model in MODELS]
PRODUCTS = {"image backbone", "neck", "LiDAR stages", "BEV encoder", "head"}
"""Stages of convolutions and products, and hardly anything else."""


def recipe(name: str) -> Config:
    return load_config(ROOT / f"configs/nuscenes/{name}.yaml")


def tiny(kind: str, task: str) -> Config:
    stage = "teacher" if kind in ("mgfm", "conv") else "student"
    data = DataConfig(root=Path("no-data"), max_points=512)
    return Config(task=task, data=data, model=tiny_config(kind), train=TrainConfig(stage=stage))


@cache
def recorded(name: str) -> Cost:
    """Of the FP16 export, as ``python -m benchmarks.costs`` wrote it."""
    return Cost.model_validate(json.loads(RECORD.read_text())["recipes"][name])


def counted_by_torch(config: Config, raw_size: tuple[int, int]) -> dict[str, int]:
    """Operations of convolutions and products by stage, and of the whole as ``all``; nothing is computed."""
    example = find_example(config, raw_size if config.model.camera is not None else None)
    with torch.device("meta"):
        module = Deployment(Perception(config.model, config.task).eval().requires_grad_(False))
    inputs = tuple(tensor.to("meta") for tensor in example.tensors(module.names))
    with torch.no_grad(), FlopCounterMode(module, display=False, depth=4) as counter:
        module(*inputs)
    by_module: dict[str, dict[Any, int]] = counter.get_flop_counts()
    counts = {stage: sum(by_module.get(f"Deployment.{path}", {}).values()) for stage, path in MODULES.items()}
    counts["pillars"] -= counts["LiDAR stages"]  # pillars are the rest of the LiDAR branch
    return counts | {"all": counter.get_total_flops()}


def gmacs(cost: Cost) -> dict[str, float]:
    return {stage.stage: sum(stage.gmacs.values()) for stage in cost.stages}


def test_a_published_figure() -> None:
    # torchvision's table says 4.09 billion for ResNet-50 at 224 x 224, 2 million of them in the classifier.
    assert resnet50_macs(224, 224) + 2048 * 1000 == pytest.approx(4.09e9, rel=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_full_size_recipes_by_hand_and_by_torch(name: str) -> None:
    config = recipe(name)
    by_hand, by_torch, found = hand_count(config), counted_by_torch(config, FULL_SIZE), recorded(name)
    gflops = {stage.stage: stage.gflops for stage in found.stages}
    for stage, count in by_hand.items():
        assert gflops[stage] == pytest.approx(count, rel=0.03), stage
    assert found.gflops == pytest.approx(sum(by_hand.values()), rel=0.03)
    for stage, count in gmacs(found).items():
        assert 2e9 * count == pytest.approx(by_torch.get(stage, 0), rel=0.01), stage
    for stage in PRODUCTS & gflops.keys():
        assert gflops[stage] == pytest.approx(by_torch[stage] / 1e9, rel=0.03), stage


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("student", ["camera", "lidar"])
def test_a_student_costs_a_third_of_its_teacher(task: str, student: str) -> None:
    teacher = recorded(f"{task}/teacher")
    assert recorded(f"{task}/{student}").gflops <= teacher.gflops / 3


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_record_is_what_the_recipes_cost(name: str) -> None:
    assert recipe_cost(recipe(name), half=True) == recorded(name), "renew it with: python -m benchmarks.costs"


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("kind", "task"), [("camera", "detection"), ("lidar", "segmentation"), ("mgfm", "detection")])
def test_a_tiny_model_by_torch(kind: str, task: str, half: bool) -> None:
    config = tiny(kind, task)
    cost, by_torch = recipe_cost(config, half, RAW_SIZE), counted_by_torch(config, RAW_SIZE)
    for stage, count in gmacs(cost).items():
        assert 2e9 * count == pytest.approx(by_torch.get(stage, 0), rel=0.01), stage
    assert 2e9 * sum(gmacs(cost).values()) == pytest.approx(by_torch["all"], rel=0.01)
    assert sum(stage.gflops for stage in cost.stages) == pytest.approx(cost.gflops)
    assert sum(stage.parameters for stage in cost.stages) == cost.parameters
    model = Perception(config.model, config.task)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    kinds = {kind for stage in cost.stages for kind in stage.gmacs}
    assert kinds <= ({"float16", "float32"} if half else {"float32"})


def test_half_precision_halves_the_bytes_of_convolutions() -> None:
    full, half = (recipe_cost(tiny("camera", "detection"), half, RAW_SIZE) for half in (False, True))
    for before, after in zip(full.stages, half.stages, strict=True):
        if before.stage in ("image backbone", "BEV encoder"):
            assert after.weight_megabytes == pytest.approx(before.weight_megabytes / 2, rel=0.01)
            # The first convolution reads what image preparation, and the result what the head wrote, in FP32.
            assert after.megabytes == pytest.approx(before.megabytes / 2, rel=0.1)
        assert after.gflops == pytest.approx(before.gflops)
