"""What a bundle's manifest says about a trained run."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import onnx
import torch

import vexkd
from vexkd.classes import CAMERAS, DETECTION_CLASSES, MAP_CLASSES
from vexkd.config import Config
from vexkd.data.dataset import OWN_VEHICLE
from vexkd.engines.manifest import CameraInput, ClassSelection, Grid, PointInput, Selection, Source, Tensor
from vexkd.models.frustum import frustum_geometry
from vexkd.models.selection import class_rules
from vexkd.plugins.files import sha256
from vexkd.training.machine import git_commit
from vexkd.training.run import WEIGHTS

DTYPES: dict[int, Literal["uint8", "int32", "float32"]] = {
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.FLOAT: "float32",
}
UNITS = {
    "images": "RGB 0..255 as the cameras give them, one per camera in the manifest's order",
    "points": "x, y, z in metres in ego at the LiDAR timestamp, intensity 0..1, age in seconds; zeros from count on",
    "count": "valid points",
    "rays": "from (u, v, 1) of the prepared image to ego in metres per metre of depth, one matrix per camera",
    "origins": "centre of each camera in metres; ego at the LiDAR timestamp",
    "boxes": "x, y, z of the centre, length, width, height in metres, yaw in radians counter-clockwise from +x, vx, vy "
    "in m/s; ego at the LiDAR timestamp; best first",
    "scores": "0..1, descending",
    "labels": "index into the manifest's classes",
    "logits": "one map per class, rows along y, columns along x, -50..50 m at 0.5 m in ego; sigmoid gives probability",
}


def grid_section(config: Config) -> Grid:
    """The model's grid."""
    grid = config.model.grid
    return Grid(x=grid.x, y=grid.y, z=grid.z, cell=grid.cell, height=grid.height, width=grid.width)


def camera_section(config: Config, raw_size: tuple[int, int] | None) -> CameraInput | None:
    """Camera inputs of a model with a camera, whose raw image size must then be given."""
    camera = config.model.camera
    if camera is None or raw_size is None:
        return None
    depths, feature_size = frustum_geometry(camera)
    return CameraInput(
        cameras=CAMERAS,
        raw_size=raw_size,
        image_size=camera.image_size,
        feature_size=feature_size,
        stride=camera.stride,
        depths=tuple(float(depth) for depth in depths),
        z=camera.z,
    )


def points_section(config: Config) -> PointInput | None:
    """Point input of a model with a LiDAR."""
    if config.model.lidar is None:
        return None
    return PointInput(capacity=config.data.max_points, sweeps=config.data.sweeps, own_vehicle=OWN_VEHICLE)


def selection_section(config: Config) -> Selection | None:
    """How boxes are selected after the model."""
    if config.task == "segmentation":
        return None
    head = config.model.head
    classes = (ClassSelection(**rule._asdict()) for rule in class_rules(head))
    return Selection(score_threshold=head.score_threshold, classes=tuple(classes))


def classes(config: Config) -> tuple[str, ...]:
    """Names of labels or map channels."""
    return DETECTION_CLASSES if config.task == "detection" else MAP_CLASSES


def tensors(values: list[onnx.ValueInfoProto]) -> tuple[Tensor, ...]:
    """The graph's inputs or outputs as the manifest lists them."""
    return tuple(
        Tensor(
            name=value.name,
            shape=tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            dtype=DTYPES[value.type.tensor_type.elem_type],
            unit=UNITS[value.name],
        )
        for value in values
    )


def source_section(run: Path, config: Config) -> Source:
    """Where the bundle comes from; the run by the name it was given, without this machine's folders."""
    return Source(
        run=str(run) if not run.is_absolute() else run.name,
        weights_sha256=sha256(run / WEIGHTS),
        git_commit=git_commit(),
        vexkd=vexkd.__version__,
        torch=torch.__version__,
        onnx=version("onnx"),
        stage=config.train.stage,
    )
