"""A bundle is a folder ``NAME.vexkd/``: a manifest, the ONNX model, engines and the plugin library they need.

Readers check the manifest before they open anything else. Its ``sha256`` covers the manifest's own bytes (with the 64
digits of the field itself read as zeros), and ``files`` covers every other file, so one changed byte is noticed.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256, write_text

SCHEMA_VERSION = 3
MANIFEST = "manifest.json"
MODEL = "model.onnx"
PLUGIN_LIBRARY = "libvexkd.so"
NO_DIGEST = "0" * 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Section(BaseModel):
    """Base of every part of the manifest: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tensor(Section):
    """One input or output of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["uint8", "int32", "float32"]
    unit: str
    """What the numbers mean, with units and frame."""


class Grid(Section):
    """The bird's-eye-view grid: metres in the ego frame, H along y, W along x."""

    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]
    """Points between these heights count; the camera has its own."""
    cell: float
    height: int
    width: int

    @property
    def range(self) -> tuple[float, float, float, float, float, float]:
        """(x_min, y_min, z_min, x_max, y_max, z_max) in metres, as the operators take it."""
        return (self.x[0], self.y[0], self.z[0], self.x[1], self.y[1], self.z[1])


class CameraInput(Section):
    """What a reader needs to turn calibration into the frustum inputs of a camera model."""

    cameras: tuple[str, ...]
    raw_size: tuple[int, int]
    """(H, W) of the images as the cameras give them."""
    image_size: tuple[int, int]
    """(h, w) after the model's own resize and crop."""
    feature_size: tuple[int, int]
    stride: int
    depths: tuple[float, ...]
    """Depth bins in metres."""
    z: tuple[float, float]
    """(low, high) in metres of the frustum points that count, ego frame."""


class PointInput(Section):
    """The point cloud's fixed capacity and columns."""

    capacity: int
    sweeps: int
    """Sweeps before the keyframe that the model was trained to see, motion-compensated into the keyframe."""
    own_vehicle: float
    """Half side in metres of the square around the sensor whose points training removed: they lie on the vehicle."""
    columns: tuple[str, ...] = ("x", "y", "z", "intensity", "age")


class Selection(Section):
    """How boxes are selected after the model, see :func:`vexkd.plugins.postprocess.select_boxes`."""

    score_threshold: float
    radii: tuple[float, ...]
    """Metres, for each class."""
    groups: tuple[int, ...]
    """For each class; classes of one group are alternatives to each other, -1 is a class that does not occur."""

    @model_validator(mode="after")
    def _one_each(self) -> "Selection":
        if len(self.groups) != len(self.radii):
            raise ValueError(f"radii and groups are one per class, got {len(self.radii)} and {len(self.groups)}")
        return self


class Source(Section):
    """Where the bundle came from."""

    run: str
    weights_sha256: str
    git_commit: str | None
    vexkd: str
    torch: str
    onnx: str
    stage: str


class OutputParity(Section):
    """Difference of one output between PyTorch in FP32 and ONNX Runtime on the CPU."""

    max_abs: float
    max_rel: float
    """Largest difference over the output's largest magnitude."""


class BoxParity(Section):
    """Boxes of the trained and of the exported model, paired by class and nearest centre."""

    count: int
    """Boxes of the trained model over the score threshold."""
    ties: int
    """Those of them that rounding may undo, and which are therefore not paired: near ties with a neighbouring cell,
    with the threshold or with the end of the list."""
    unmatched: int
    """Boxes of either model without a partner."""
    max_centre: float
    """Largest distance between partners in metres."""
    max_score: float


class Parity(Section):
    """How far the exported model is from the trained one."""

    inputs: str
    """``real sample`` or ``seeded random``."""
    runtime: str
    outputs: dict[str, OutputParity]
    boxes: BoxParity | None


class Cost(Section):
    """What one forward pass costs, counted from the ONNX graph (see ``vexkd.export.flops`` for what counts)."""

    gflops: float
    gflops_by_operator: dict[str, float]
    parameters: int


class Engine(Section):
    """One TensorRT engine of the bundle."""

    target: str
    file: str
    flavour: Literal["tensorrt", "tensorrt_rtx"]
    version: str
    compute_capability: str
    plugin_library_sha256: str
    plugin_layers: int


class Manifest(Section):
    """Everything a reader of the bundle has to know."""

    schema_version: Literal[3] = 3
    task: Literal["detection", "segmentation"]
    sensors: tuple[Literal["camera", "lidar"], ...]
    precision: Literal["fp32", "fp16"]
    grid: Grid
    classes: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    camera: CameraInput | None
    points: PointInput | None
    selection: Selection | None
    source: Source
    parity: Parity
    cost: Cost
    engines: tuple[Engine, ...] = ()
    files: dict[str, str]
    """SHA-256 of every file of the bundle but the manifest."""
    sha256: str = Field(default=NO_DIGEST, pattern=r"^[0-9a-f]{64}$")

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            if not _NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"{name!r} is no plain file name inside the bundle")
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"{name} has a malformed sha256 {digest!r}")
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
        if ("camera" in self.sensors) != (self.camera is not None):
            raise ValueError("the section camera belongs to a model with a camera, and only there")
        if ("lidar" in self.sensors) != (self.points is not None):
            raise ValueError("the section points belongs to a model with a lidar, and only there")
        if (self.task == "detection") != (self.selection is not None):
            raise ValueError("the section selection belongs to detection, and only there")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files were verified."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Folder name without its suffix."""
        return self.path.resolve().name.removesuffix(".vexkd")

    @property
    def model(self) -> Path:
        """The ONNX model."""
        return self.path / MODEL

    @property
    def plugin_library(self) -> Path:
        """The plugin library the engines were built with."""
        return self.path / PLUGIN_LIBRARY


def read_bundle(path: Path) -> Bundle:
    """Read and verify a bundle: its manifest first, then the SHA-256 of every file.

    Raises:
        UserError: no bundle there, a manifest of another schema version, a changed or missing file; the message
            names the command that mends it.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise UserError(f"{path} is no bundle: it has no {MANIFEST}; make one with: vexkd export RUN --out {path}")
    raw = file.read_bytes()
    manifest = _parse(path, raw)
    if _digest(raw.decode("utf-8"), manifest.sha256) != manifest.sha256:
        raise UserError(f"{file} was changed after it was written; {_mend(path, manifest)}")
    for name, digest in manifest.files.items():
        _check_file(path, name, digest, manifest)
    return Bundle(path, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``manifest.json`` with its own digest filled in, and return the manifest as written."""
    blank = manifest.model_copy(update={"sha256": NO_DIGEST})
    signed = manifest.model_copy(update={"sha256": hashlib.sha256(_text(blank).encode()).hexdigest()})
    write_text(folder / MANIFEST, _text(signed))
    return signed


def _parse(path: Path, raw: bytes) -> Manifest:
    again = f"export the run again with: vexkd export RUN --out {path}"
    try:
        content: Any = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{path / MANIFEST} is not valid JSON ({error}); {again}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise UserError(f"{path / MANIFEST} names no schema version, so it is no bundle's manifest; {again}")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path} has manifest schema {version}, this VeXKD reads {SCHEMA_VERSION}: it was written by a newer one; "
            f"update with: pip install --upgrade vexkd"
        )
    if version < SCHEMA_VERSION:
        raise UserError(f"{path} has manifest schema {version}, this VeXKD reads {SCHEMA_VERSION}; {again}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg'].removeprefix('Value error, ')}".lstrip(
                ": "
            )
            for detail in error.errors()
        )
        raise UserError(f"{path / MANIFEST} is damaged: {details}; {again}") from error


def _check_file(path: Path, name: str, digest: str, manifest: Manifest) -> None:
    file = path / name
    if not file.resolve().is_relative_to(path.resolve()):
        raise UserError(f"{file} is a link that leaves the bundle; {_mend(path, manifest)}")
    if not file.is_file():
        raise UserError(f"{file} is missing from the bundle; {_mend(path, manifest)}")
    found = sha256(file)
    if found != digest:
        reason = f"its sha256 begins {found[:12]}, the manifest says {digest[:12]}"
        raise UserError(f"{file} was changed: {reason}; {_mend(path, manifest)}")


def remake(manifest: Manifest) -> str:
    """The command that makes such a bundle again, without its output folder."""
    parts = [f"vexkd export {manifest.source.run}"]
    parts += ["--fp16"] if manifest.precision == "fp16" else []
    parts += [f"--target {engine.target}" for engine in manifest.engines]
    return " ".join(parts)


def _mend(path: Path, manifest: Manifest) -> str:
    return f"export it again with: {remake(manifest)} --out {path}"


def _text(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _digest(text: str, written: str) -> str:
    return hashlib.sha256(text.replace(f'"sha256": "{written}"', f'"sha256": "{NO_DIGEST}"').encode()).hexdigest()
