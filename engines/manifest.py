"""What a bundle's ``manifest.json`` says, section by section, and what makes it whole.

The C++ runtime reads it by the same rules (``cpp/src/manifest.cpp``); what is changed here is changed there, and
``tests/engines/test_refusals.py`` holds both against one table.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from vexkd.plugins import library
from vexkd.plugins.postprocess import ClassRule

SCHEMA_VERSION = 4
MANIFEST = "manifest.json"
MODEL = "model.onnx"
PLUGIN_LIBRARY = "libvexkd.so"
NO_DIGEST = "0" * 64

_INT32_MAX = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _printable(text: str) -> str:
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ValueError("holds a control character")
    return text


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are.

    Raises:
        ValueError: one is there twice.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name} is listed twice")
        seen.add(name)
    return names


# JSON knows numbers, Python knows bool, int and float: none of them is taken for another but an int for a float.
Text = Annotated[str, AfterValidator(_printable)]
Names = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(distinct)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(strict=True, ge=0, le=_INT32_MAX)]
Size = Annotated[int, Field(strict=True, ge=1, le=_INT32_MAX)]
Long = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Flag = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=2**40)]
Metres = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-(2**20), le=2**20)]
Length = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=2**20)]


_Signature = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape of an input or output."""


TypeCounts = dict[str, dict[str, Count]]
"""How many by the type they compute in, then by kind: {"fp16": {"Conv": 30}}."""


class Section(BaseModel):
    """Base of every part of the manifest: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tensor(Section):
    """One input or output of the model."""

    name: Text
    shape: tuple[Size, ...]
    dtype: Literal["uint8", "int32", "float32"]
    unit: Text
    """What the numbers mean, with units and frame."""

    @model_validator(mode="after")
    def _indexable(self) -> "Tensor":
        _check_product("elements", self.shape)
        return self


class Grid(Section):
    """The bird's-eye-view grid: metres in the ego frame, H along y, W along x."""

    x: tuple[Metres, Metres]
    y: tuple[Metres, Metres]
    z: tuple[Metres, Metres]
    """Points between these heights count; the camera has its own."""
    cell: Metres
    height: Size
    width: Size

    @model_validator(mode="after")
    def _consistent(self) -> "Grid":
        try:
            made = library.make_grid(self.range, (self.cell, self.cell))
        except library.KernelError as error:
            raise ValueError("x, y, z and cell make no grid") from error
        if (made.height, made.width) != (self.height, self.width):
            raise ValueError(
                f"height and width are {self.height} and {self.width}, but x, y and cell make {made.height} and "
                f"{made.width}"
            )
        return self

    @property
    def range(self) -> tuple[float, float, float, float, float, float]:
        """(x_min, y_min, z_min, x_max, y_max, z_max) in metres, as the operators take it."""
        return (self.x[0], self.y[0], self.z[0], self.x[1], self.y[1], self.z[1])


class CameraInput(Section):
    """What a reader needs to turn calibration into rays, and what the model makes of them."""

    cameras: Names
    raw_size: tuple[Size, Size]
    """(H, W) of the images as the cameras give them."""
    image_size: tuple[Size, Size]
    """(h, w) after the model's own resize and crop."""
    feature_size: tuple[Size, Size]
    """``image_size`` over ``stride``, rounded down."""
    stride: Size
    depths: Annotated[tuple[Length, ...], Field(min_length=1)]
    """Depth bins in metres."""
    z: tuple[Metres, Metres]
    """(low, high) in metres of the frustum points that count, ego frame."""

    @model_validator(mode="after")
    def _consistent(self) -> "CameraInput":
        height, width = (size // self.stride for size in self.image_size)
        if self.feature_size != (height, width):
            raise ValueError(
                f"feature_size is {list(self.feature_size)}, but image_size and stride make {[height, width]}"
            )
        try:
            library.make_grid((0, 0, self.z[0], 1, 1, self.z[1]), (1, 1))
        except library.KernelError as error:
            raise ValueError("z is no range of heights") from error
        _check_product("frustum points", (len(self.cameras), len(self.depths), *self.feature_size))
        return self


class PointInput(Section):
    """The point cloud's fixed capacity and columns."""

    capacity: Size
    sweeps: Count
    """Sweeps before the keyframe that the model was trained to see, motion-compensated into the keyframe."""
    own_vehicle: Length
    """Half side in metres of the square around the sensor whose points training removed: the own vehicle's."""
    columns: tuple[Text, ...] = ("x", "y", "z", "intensity", "age")

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if columns != ("x", "y", "z", "intensity", "age"):
            raise ValueError(f"must be x, y, z, intensity, age, got {', '.join(columns)}")
        return columns


class ClassSelection(Section):
    """How boxes of one class give way to better ones, see :class:`vexkd.plugins.postprocess.ClassRule`."""

    group: Annotated[int, Field(strict=True, ge=-1, le=_INT32_MAX)]
    """Classes of one group are alternatives to each other, -1 is a class that does not occur."""
    suppression: Literal["circle", "rotated", "scaled"]
    limit: Length
    """Metres between centres of a circle, else intersection over union."""
    scale: Length
    """Of length and width; 1 unless they are scaled."""

    @model_validator(mode="after")
    def _consistent(self) -> "ClassSelection":
        if self.suppression != "circle" and self.limit > 1:
            raise ValueError("limit is an intersection over union, which is 1 at most")
        if self.suppression != "scaled" and self.scale != 1:
            raise ValueError(f"scale must be 1 where suppression is {self.suppression}")
        return self


class Selection(Section):
    """How boxes are selected after the model, see :func:`vexkd.plugins.postprocess.select_boxes`."""

    score_threshold: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
    classes: tuple[ClassSelection, ...]
    """In the order of the manifest's classes."""

    @model_validator(mode="after")
    def _one_kind_per_group(self) -> "Selection":
        kinds: dict[int, str] = {}
        for entry in self.classes:
            kind = kinds.setdefault(entry.group, entry.suppression)
            if kind != entry.suppression:
                raise ValueError(f"group {entry.group} has {kind} and {entry.suppression} classes")
        return self

    @property
    def rules(self) -> tuple[ClassRule, ...]:
        """As :func:`vexkd.plugins.postprocess.select_boxes` takes them."""
        return tuple(ClassRule(entry.group, entry.suppression, entry.limit, entry.scale) for entry in self.classes)


class Source(Section):
    """Where the bundle came from."""

    run: Text
    weights_sha256: Digest
    git_commit: Text | None
    vexkd: Text
    torch: Text
    onnx: Text
    stage: Text


class OutputParity(Section):
    """Difference of one output between PyTorch in FP32 and ONNX Runtime on the CPU."""

    max_abs: Annotated[float, Field(strict=True)]
    """Infinite where one side is not a number; such an export is refused, and JSON has no infinity."""
    max_rel: Annotated[float, Field(strict=True)]
    """Largest difference over the output's largest magnitude."""


class BoxParity(Section):
    """Boxes of the trained and of the exported model, paired by class and nearest centre."""

    count: Count
    """Boxes of the trained model over the score threshold."""
    ties: Count
    """Those of them that rounding may undo, and which are therefore not paired: near ties with a neighbouring cell,
    with the threshold or with the end of the list."""
    unmatched: Count
    """Boxes of either model without a partner."""
    max_centre: Number
    """Largest distance between partners in metres."""
    max_score: Number


class Parity(Section):
    """How far the exported model is from the trained one."""

    inputs: Text
    """``real sample`` or ``seeded random``."""
    runtime: Text
    outputs: dict[str, OutputParity]
    boxes: BoxParity | None


class Metric(Section):
    """One figure of the trained and of the exported model; higher is better."""

    reference: Number
    """Of the trained model in PyTorch, FP32."""
    bundle: Number
    limit: Length
    """What the bundle may lose."""

    @property
    def holds(self) -> bool:
        """Whether the loss is within the limit."""
        return self.reference - self.bundle <= self.limit


class Accuracy(Section):
    """How accurate the exported model is on annotated keyframes, beside the trained one."""

    split: Text
    frames: Size
    """Keyframes that were evaluated."""
    available: Size
    """Keyframes of the split, over which those are evenly spread."""
    runtime: Text
    metrics: dict[str, Metric]
    """``mAP`` and ``NDS``, or ``mIoU``."""
    passed: Flag
    """Whether every metric is within its limit."""
    accepted: Flag
    """Whether the bundle was written because its user accepted a larger loss."""


class StageCost(Section):
    """What one stage of a forward pass costs; megabytes are 10^6 bytes."""

    stage: Text
    """A name of ``vexkd.export.stages.STAGES``."""
    gflops: Amount
    gmacs: dict[str, Amount]
    """Multiply-adds of convolutions and matrix products by the type they are computed in: float32, float16, int8."""
    parameters: Long
    """Of the trained model."""
    megabytes: Amount
    """Read and written by all kernels, weights among them; see ``vexkd.export.traffic`` for what a kernel is."""
    weight_megabytes: Amount
    """Weights and other constants that the kernels read."""
    kernel_megabytes: tuple[Amount, ...]
    """Read and written by each kernel, in the order of the work; together ``megabytes``."""
    launches: Count

    @property
    def intensity(self) -> float:
        """Operations per byte moved; 0 where nothing moves."""
        return self.gflops * 1e3 / self.megabytes if self.megabytes else 0.0


class Cost(Section):
    """What one forward pass costs, counted from the ONNX graph (see ``vexkd.export.flops`` for what counts)."""

    gflops: Number
    gflops_by_operator: dict[str, Number]
    parameters: Long
    stages: tuple[StageCost, ...]
    """In the order of the work; together they are the whole graph."""


class Engine(Section):
    """One TensorRT engine of the bundle."""

    target: Text
    file: Text
    flavour: Literal["tensorrt", "tensorrt_rtx"]
    version: Text
    compute_capability: Text
    plugin_library_sha256: Digest
    gpu_code: Flag
    """Whether the bundle's library has GPU code for this compute capability: without it the engine never runs."""
    plugin_layers: Count
    layers: TypeCounts
    """Layers of the built engine by the type they read ("fp16") and TensorRT's name of their kind; empty where the
    builder does not list them."""
    size: Long
    """Bytes of the file."""
    activation_bytes: Long | None
    """Memory of the GPU that one execution context takes, as far as the builder knows; kernels' own is not in it."""
    weight_bytes: Long | None


class Manifest(Section):
    """Everything a reader of the bundle has to know."""

    schema_version: Literal[4] = 4
    task: Literal["detection", "segmentation"]
    sensors: tuple[Literal["camera", "lidar"], ...]
    precision: Literal["fp32", "fp16"]
    grid: Grid
    classes: Names
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    camera: CameraInput | None
    points: PointInput | None
    selection: Selection | None
    source: Source
    parity: Parity
    accuracy: Accuracy | None
    """None where no annotated keyframes were at hand."""
    cost: Cost
    nodes: TypeCounts
    """Nodes of the ONNX graph by the type of their first input ("fp16") and operator."""
    engines: tuple[Engine, ...] = ()
    files: dict[str, str]
    """SHA-256 of every file of the bundle but the manifest."""
    sha256: Digest = NO_DIGEST

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            if not _NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"'{name}' is no plain file name inside the bundle")
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"{name} has a malformed sha256 '{digest}'")
        return files

    @model_validator(mode="after")
    def _complete(self) -> "Manifest":
        needed = [MODEL, *(engine.file for engine in self.engines)]
        if self.engines:
            needed.append(PLUGIN_LIBRARY)
        missing = [name for name in needed if name not in self.files]
        if missing:
            raise ValueError(f"{', '.join(missing)} not listed in files")
        foreign = [e.file for e in self.engines if e.plugin_library_sha256 != self.files[PLUGIN_LIBRARY]]
        if foreign:
            raise ValueError(f"{', '.join(foreign)} was built with another plugin library than the one listed")
        if self.sensors not in (("camera",), ("lidar",), ("camera", "lidar")):
            raise ValueError("sensors must be camera, lidar or both, in this order")
        if ("camera" in self.sensors) != (self.camera is not None):
            raise ValueError("the section camera belongs to a model with a camera, and only there")
        if ("lidar" in self.sensors) != (self.points is not None):
            raise ValueError("the section points belongs to a model with a lidar, and only there")
        if (self.task == "detection") != (self.selection is not None):
            raise ValueError("the section selection belongs to detection, and only there")
        if self.selection is not None and len(self.selection.classes) != len(self.classes):
            raise ValueError(
                f"selection is for {len(self.selection.classes)} classes, the model has {len(self.classes)}"
            )
        for what, found, expected in (
            ("inputs", self.inputs, self._expected_inputs()),
            ("outputs", self.outputs, self._expected_outputs()),
        ):
            if [(tensor.name, tensor.dtype, tensor.shape) for tensor in found] != expected:
                raise ValueError(
                    f"{what} are {_told((t.name, t.dtype, t.shape) for t in found)}, but task and sections make them "
                    f"{_told(expected)}"
                )
        return self

    def _expected_inputs(self) -> list["_Signature"]:
        expected: list[_Signature] = []
        if self.camera is not None:
            views = len(self.camera.cameras)
            expected += [
                ("images", "uint8", (views, *self.camera.raw_size, 3)),
                ("rays", "float32", (views, 3, 3)),
                ("origins", "float32", (views, 3)),
            ]
        if self.points is not None:
            expected += [("points", "float32", (self.points.capacity, 5)), ("count", "int32", (1,))]
        return expected

    def _expected_outputs(self) -> list["_Signature"]:
        """With the number of boxes or the size of the map as the first output has it: it stands nowhere else."""
        first = self.outputs[0].shape if self.outputs else ()
        if self.task == "segmentation":
            return [("logits", "float32", (len(self.classes), *(first[1:] if len(first) == 3 else (1, 1))))]
        boxes = first[0] if first else 1
        return [("boxes", "float32", (boxes, 9)), ("scores", "float32", (boxes,)), ("labels", "int32", (boxes,))]


def _check_product(what: str, sizes: Sequence[int]) -> None:
    if math.prod(sizes) > _INT32_MAX:
        raise ValueError(f"more than {_INT32_MAX} {what}")


def _told(tensors: Iterable[_Signature]) -> str:
    return ", ".join(f"{name} {dtype} {list(shape)}" for name, dtype, shape in tensors) or "none"
