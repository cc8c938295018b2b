"""The stages of a model, which costs are told by: where a module, and a node of the traced graph, belongs.

A traced node is named after its module ("model.head.shared.0/Conv", see :mod:`vexkd.export.trace`). What lies outside
the modules here, as the casts of inputs do, belongs to the stage that reads it first, and what no stage reads to the
decoding of the result.
"""

from collections import Counter

import onnx
from torch import nn

MODULES = {
    "image preparation": "model.camera.preparation",
    "image backbone": "model.camera.backbone",
    "neck": "model.camera.neck",
    "view transform": "model.camera.view",
    "pillars": "model.lidar",
    "LiDAR stages": "model.lidar.stages",
    "fusion": "model.fusion",
    "BEV encoder": "model.encoder",
    "head": "model.head",
}
"""The module of :class:`vexkd.export.deployment.Deployment` that is a stage, in the order of the work.

``pillars`` is what the LiDAR branch does before its stages: voxelisation, the point MLP and the pillars' maxima.
"""
DECODE = "decode"
STAGES = (*MODULES, DECODE)


def stage_of(path: str) -> str | None:
    """Stage of a module's path such as ``model.lidar.stages.0``; None where it is in none of them."""
    inside = [stage for stage, module in MODULES.items() if path == module or path.startswith(f"{module}.")]
    return max(inside, key=lambda stage: len(MODULES[stage]), default=None)


def node_stages(graph: onnx.GraphProto) -> list[str]:
    """Stage of each node, in the graph's order."""
    stages = [stage_of(node.name.partition("/")[0]) for node in graph.node]
    reader: dict[str, str] = {}
    for index in reversed(range(len(stages))):
        node = graph.node[index]
        found = stages[index] or next((reader[name] for name in node.output if name in reader), DECODE)
        stages[index] = found
        reader |= dict.fromkeys(node.input, found)
    return [stage or DECODE for stage in stages]


def parameters_by_stage(model: nn.Module) -> dict[str, int]:
    """Parameters of a :class:`vexkd.models.perception.Perception` in each stage that has any."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[stage_of(f"model.{name}") or DECODE] += parameter.numel()
    return dict(counts)
