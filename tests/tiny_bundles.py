"""Tiny runs to export, and a bundle made by hand for tests that need no training core."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from tiny_models import RAW_SIZE, tiny_config
from torch import nn

from vexkd.config import Config, DataConfig, TrainConfig
from vexkd.engines.bundle import Bundle, write_manifest
from vexkd.engines.manifest import (
    MODEL,
    BoxParity,
    CameraInput,
    ClassSelection,
    Cost,
    Grid,
    Manifest,
    OutputParity,
    Parity,
    PointInput,
    Selection,
    Source,
    Tensor,
)
from vexkd.models.perception import Perception
from vexkd.plugins.files import sha256
from vexkd.training.run import save_run

CAPACITY = 512
BOXES = 4


def make_run(folder: Path, kind: str, task: str, seed: int = 0) -> Path:
    """A run folder of a tiny untrained model whose scores are spread over 0..1 and whose norms do something."""
    torch.manual_seed(seed)
    config = Config(
        task=task,
        data=DataConfig(root=folder / "no-data", max_points=CAPACITY, sweeps=3),
        model=tiny_config(kind, max_boxes=200),
        train=TrainConfig(stage="teacher" if kind in ("mgfm", "conv") else "student"),
    )
    model = Perception(config.model, config.task)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.8, 1.2)
                module.bias.normal_(0, 0.1)
        if task == "detection":
            model.head.heatmap[-1].weight.mul_(10)
    save_run(folder, config, model.state_dict())
    return folder


def make_bundle(folder: Path, scale: float = 1.0) -> Bundle:
    """A detection bundle whose model turns its first points into boxes; nothing but ONNX's own operators."""
    folder.mkdir(parents=True)
    onnx.save(_model(scale), folder / MODEL)
    manifest = Manifest(
        task="detection",
        sensors=("lidar",),
        precision="fp32",
        grid=Grid(x=(-8, 8), y=(-4, 4), z=(-3, 3), cell=1.0, height=8, width=16),
        classes=("car", "pedestrian"),
        inputs=(
            Tensor(name="points", shape=(CAPACITY, 5), dtype="float32", unit="metres"),
            Tensor(name="count", shape=(1,), dtype="int32", unit="points"),
        ),
        outputs=(
            Tensor(name="boxes", shape=(BOXES, 9), dtype="float32", unit="metres"),
            Tensor(name="scores", shape=(BOXES,), dtype="float32", unit="0..1"),
            Tensor(name="labels", shape=(BOXES,), dtype="int32", unit="class"),
        ),
        camera=None,
        points=PointInput(capacity=CAPACITY, sweeps=0, own_vehicle=1.0),
        selection=Selection(
            score_threshold=0.3,
            classes=(
                ClassSelection(group=0, suppression="circle", limit=2.0, scale=1.0),
                ClassSelection(group=1, suppression="circle", limit=0.5, scale=1.0),
            ),
        ),
        source=Source(
            run="runs/by-hand",
            weights_sha256="0" * 64,
            git_commit=None,
            vexkd="0",
            torch="0",
            onnx="0",
            stage="student",
        ),
        parity=Parity(
            inputs="seeded random",
            runtime="none",
            outputs={"scores": OutputParity(max_abs=0, max_rel=0)},
            boxes=BoxParity(count=0, ties=0, unmatched=0, max_centre=0, max_score=0),
        ),
        accuracy=None,
        cost=Cost(gflops=2.0, gflops_by_operator={"Mul": 2.0}, parameters=10, stages=()),
        nodes={"fp32": {"Mul": 1, "Slice": 2, "Concat": 1, "Squeeze": 1}, "int32": {"Mul": 1}},
        files={MODEL: sha256(folder / MODEL)},
    )
    return Bundle(folder, write_manifest(folder, manifest))


def camera_input() -> CameraInput:
    """Two cameras with images of the tiny models' size."""
    return CameraInput(
        cameras=("CAM_A", "CAM_B"),
        raw_size=RAW_SIZE,
        image_size=(32, 64),
        feature_size=(4, 8),
        stride=8,
        depths=tuple(np.arange(1.0, 13.0).tolist()),
        z=(-10.0, 10.0),
    )


def _model(scale: float) -> onnx.ModelProto:
    """Boxes are the first points' x, y, z, times ``scale``, and six ones; scores their intensity, labels 0."""

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(value, name)

    weights = [
        constant("ends", np.array([BOXES, 3])),
        constant("begins", np.array([0, 0])),
        constant("axes", np.array([0, 1])),
        constant("begin_i", np.array([0, 3])),
        constant("end_i", np.array([BOXES, 4])),
        constant("ones", np.ones((BOXES, 6), np.float32)),
        constant("scale", np.array(scale, np.float32)),
        constant("zeros", np.zeros(BOXES, np.int32)),
        constant("one", np.array([1])),
    ]
    nodes = [
        helper.make_node("Slice", ["points", "begins", "ends", "axes"], ["place"]),
        helper.make_node("Mul", ["place", "scale"], ["scaled"]),
        helper.make_node("Concat", ["scaled", "ones"], ["boxes"], axis=1),
        helper.make_node("Slice", ["points", "begin_i", "end_i", "axes"], ["intensity"]),
        helper.make_node("Squeeze", ["intensity", "one"], ["scores"]),
        helper.make_node("Mul", ["count", "zeros"], ["labels"]),
    ]
    inputs = [
        helper.make_tensor_value_info("points", TensorProto.FLOAT, [CAPACITY, 5]),
        helper.make_tensor_value_info("count", TensorProto.INT32, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [BOXES, 9]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [BOXES]),
        helper.make_tensor_value_info("labels", TensorProto.INT32, [BOXES]),
    ]
    graph = helper.make_graph(nodes, "by-hand", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
