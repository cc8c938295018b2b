"""A distilled student costs what the plain one costs: the exported graph is the same."""

from pathlib import Path

import onnx
import pytest
import torch
from tiny_bundles import make_run
from tiny_models import RAW_SIZE
from tiny_runs import keyframe

from vexkd.config import DistillConfig
from vexkd.data.collate import collate
from vexkd.distill.distiller import Distiller
from vexkd.engines.bundle import read_bundle
from vexkd.engines.manifest import MODEL
from vexkd.export.export import export_run
from vexkd.training.run import load_run, save_run


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_distilled_and_plain_students_export_to_the_same_graph(task: str, tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", "lidar", task)
    teacher = load_run(make_run(tmp_path / "teacher", "mgfm", task, seed=1))[1]
    config, student = load_run(plain)
    distill = DistillConfig(loss="l2", teacher=tmp_path / "teacher", mask_channels=8, heads=2)
    # One step of distillation, so that the weights are those that a teacher has touched.
    distiller = Distiller(student, teacher, distill).train()
    batch = collate([keyframe(0), keyframe(1)], config.model, teacher=teacher.config)
    assert batch.teacher_inputs is not None
    distiller(batch.inputs, distiller.teacher_features(batch.teacher_inputs), batch.targets)["loss"].backward()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter -= 1e-4 * parameter.grad
    staged = config.train.model_copy(update={"stage": "distill"})
    taught = config.model_copy(update={"train": staged, "distill": distill})
    save_run(tmp_path / "distilled", taught, student.state_dict())

    bundles = [export_run(run, image_size=RAW_SIZE) for run in (plain, tmp_path / "distilled")]
    graphs = [onnx.load(bundle / MODEL).graph for bundle in bundles]
    nodes = [[(node.domain, node.op_type, list(node.input), list(node.output)) for node in g.node] for g in graphs]
    assert nodes[0] == nodes[1]
    shapes = [[(tensor.name, list(tensor.dims), tensor.data_type) for tensor in g.initializer] for g in graphs]
    assert shapes[0] == shapes[1]
    costs = [read_bundle(bundle).manifest.cost for bundle in bundles]
    assert costs[0] == costs[1] and costs[0].gflops > 0
