"""A run is one readable, typed object: YAML in, ``--set a.b=c`` on top, unknown keys refused with the nearest name."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vexkd.classes import DETECTION_CLASSES
from vexkd.geometry import BevGrid
from vexkd.plugins.errors import UserError

BASE = "base"
"""Key of a config file that names the file it is merged over, relative to its own folder."""


class Section(BaseModel):
    """Base of every section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Section):
    """Which samples are read and how."""

    root: Path = Path("data/nuscenes")
    version: str | None = None
    """Table folder such as ``v1.0-trainval``; by default the only ``v1.0-*`` folder of the root."""
    train_split: str = "train"
    val_split: str = "val"
    """A split name of the devkit (or of the root's ``splits.json``), or ``all`` for every scene of the tables."""
    train_scenes: int | None = Field(default=None, gt=0)
    """Train on the first so many scenes of train_split only: for studies of little data."""
    sweeps: int = Field(default=9, ge=0, le=20)
    max_points: int = Field(default=300_000, gt=0)
    """Capacity of the point input; what does not fit is dropped and reported."""
    min_lidar_points: int = Field(default=1, ge=0)
    """Annotated boxes with fewer LiDAR points are no training targets."""
    on_damage: Literal["stop", "skip"] = "stop"
    workers: int = Field(default=2, ge=0)
    cache: bool = False
    """Keep decoded samples in memory: for data sets of a few hundred samples."""


class CameraConfig(Section):
    """Camera branch: backbone, neck, lift-splat."""

    image_size: tuple[int, int] = (256, 704)
    """(height, width) after in-model resize and crop."""
    backbone: Literal["resnet18", "resnet34", "resnet50", "tiny"] = "resnet50"
    pretrained: str | None = None
    """Folder or hub name of a transformers ResNet whose weights initialise the backbone."""
    neck_channels: int = Field(default=256, gt=0)
    stride: Literal[8, 16] = 16
    depth: tuple[float, float, float] = (1.0, 60.0, 0.5)
    """(first, end, step) of the depth bins in metres; ``end`` excluded."""
    z: tuple[float, float] = (-10.0, 10.0)
    """(low, high) in metres of the frustum points that count, ego frame."""
    channels: int = Field(default=80, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "CameraConfig":
        if any(side <= 0 or side % 32 for side in self.image_size):
            raise ValueError(f"camera.image_size must be multiples of 32 pixels, got {list(self.image_size)}")
        first, end, step = self.depth
        if not (first > 0 and step > 0 and first + step <= end):
            raise ValueError(f"camera.depth must be [first, end, step] with 0 < first < end, got {list(self.depth)}")
        if not self.z[0] < self.z[1]:
            raise ValueError(f"camera.z must be [low, high] with low < high, got {list(self.z)}")
        return self


class LidarConfig(Section):
    """LiDAR branch: pillars, point MLP, 2-D stages."""

    pillar: float = Field(default=0.2, gt=0)
    """Side of a pillar in metres; the grid's cell is a power-of-two multiple of it."""
    point_channels: int = Field(default=64, gt=0)
    layers: int = Field(default=3, gt=0)
    """Convolutions per stage; one stage per halving from pillar to cell, plus one at the cell's resolution."""
    channels: int = Field(default=128, gt=0)
    """Width of the last stage; the first is ``point_channels`` wide, then every halving doubles it up to this."""


class FusionConfig(Section):
    """Fusion of both branches into the low-level BEV feature."""

    kind: Literal["mgfm", "conv"] = "mgfm"
    channels: int = Field(default=256, gt=0)
    blocks: int = Field(default=6, gt=0)
    heads: int = Field(default=8, gt=0)
    keys: int = Field(default=4, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "FusionConfig":
        if self.channels % self.heads:
            raise ValueError(f"fusion.channels ({self.channels}) must be a multiple of fusion.heads ({self.heads})")
        return self


class EncoderConfig(Section):
    """BEV encoder from the low- to the high-level BEV feature (SECOND + SECONDFPN)."""

    channels: tuple[int, ...] = Field(default=(128, 256), min_length=1)
    """One stage each, at the grid's resolution, a half, a quarter, ..."""
    layers: int = Field(default=5, gt=0)
    """Convolutions of a stage after its first."""
    out_channels: int = Field(default=512, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        if self.out_channels % len(self.channels) or any(width <= 0 for width in self.channels):
            raise ValueError(
                f"encoder.out_channels ({self.out_channels}) must be a multiple of the number of "
                f"encoder.channels ({len(self.channels)}), which must be positive"
            )
        return self


class SuppressionConfig(Section):
    """Which boxes of a class group are the same object, of which the best one is reported."""

    kind: Literal["circle", "rotated", "scaled"] = "circle"
    """``circle``: centres near each other; ``rotated``: footprints that overlap; ``scaled``: footprints that overlap
    once they were enlarged or reduced by a factor of their class (scale-NMS)."""
    radii: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Metres of a circle by class, where they are not to be ``vexkd.plugins.postprocess.NUSCENES_RADII``."""
    iou: float = Field(default=0.2, ge=0, le=1)
    """Intersection over union of rotated or scaled footprints above which they are one object's."""
    scales: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Factors of scaled footprints by class, where they are not to be ``vexkd.plugins.postprocess.BEVDET_SCALES``."""

    @model_validator(mode="after")
    def _check(self) -> "SuppressionConfig":
        unknown = sorted((self.radii.keys() | self.scales.keys()) - set(DETECTION_CLASSES))
        if unknown:
            raise ValueError(f"head.suppression names {', '.join(unknown)}; classes are {', '.join(DETECTION_CLASSES)}")
        belongs = {"radii": ("circle",), "iou": ("rotated", "scaled"), "scales": ("scaled",)}
        for name, kinds in belongs.items():
            if self.kind not in kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"head.suppression.{name} belongs to kind {' or '.join(kinds)}, not to {self.kind}")
        return self

    def __hash__(self) -> int:
        # Configs are keys of plans, and mappings have no hash of their own.
        return hash(self.model_dump_json())


class HeadConfig(Section):
    """Centre head (detection) or map head (segmentation)."""

    channels: int = Field(default=64, gt=0)
    groups: tuple[tuple[str, ...], ...] = (
        ("car",),
        ("truck", "construction_vehicle"),
        ("bus", "trailer"),
        ("barrier",),
        ("motorcycle", "bicycle"),
        ("pedestrian", "traffic_cone"),
    )
    max_boxes: int = Field(default=500, gt=0)
    score_threshold: float = Field(default=0.1, ge=0, lt=1)
    """Boxes under it are not reported by the command line and the runtime; evaluation keeps all."""
    suppression: tuple[SuppressionConfig, ...] = (SuppressionConfig(),)
    """One for each of ``groups``, or one for all."""

    @model_validator(mode="after")
    def _check(self) -> "HeadConfig":
        names = [name for group in self.groups for name in group]
        if len(set(names)) != len(names) or not set(names) <= set(DETECTION_CLASSES):
            raise ValueError(f"head.groups must name detection classes once each ({', '.join(DETECTION_CLASSES)})")
        if len(self.suppression) not in (1, len(self.groups)):
            raise ValueError(
                f"head.suppression must be one for all groups or one for each of the {len(self.groups)} head.groups, "
                f"got {len(self.suppression)}"
            )
        return self


class ModelConfig(Section):
    """A student has one branch and no fusion, a teacher has both and a fusion."""

    grid: BevGrid = BevGrid()
    camera: CameraConfig | None = None
    lidar: LidarConfig | None = None
    fusion: FusionConfig | None = None
    encoder: EncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        if self.camera is None and self.lidar is None:
            raise ValueError("model needs model.camera, model.lidar or both")
        if (self.fusion is None) == (self.camera is not None and self.lidar is not None):
            raise ValueError("model.fusion belongs to a model with both model.camera and model.lidar, and only there")
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        grid, coarsest = self.grid, 2 ** (len(self.encoder.channels) - 1)
        if grid.height % coarsest or grid.width % coarsest:
            raise ValueError(
                f"the grid's {grid.height} x {grid.width} cells must divide by {coarsest} for the "
                f"{len(self.encoder.channels)} stages of model.encoder.channels"
            )
        if self.lidar is not None:
            ratio = grid.cell / self.lidar.pillar
            if abs(ratio - round(ratio)) > 1e-6 or round(ratio).bit_count() != 1:
                raise ValueError(
                    f"model.grid.cell ({grid.cell} m) must be 1, 2, 4, ... times model.lidar.pillar "
                    f"({self.lidar.pillar} m)"
                )
        peaks = sum(map(len, self.head.groups)) * grid.height * grid.width
        if self.head.max_boxes > peaks:
            raise ValueError(f"model.head.max_boxes is {self.head.max_boxes}, but the grid has only {peaks} places")


class DistillConfig(Section):
    """Masks and losses of the distillation stage."""

    teacher: Path | None = None
    """Run folder of the frozen teacher."""
    levels: tuple[Literal["low", "high"], ...] = ("low", "high")
    mask: Literal["learned", "random_query", "whole", "key_points", "gaussian", "activation"] = "learned"
    loss: Literal["attention", "l1", "l2", "smooth_l1"] = "attention"
    blocks: int = Field(default=3, gt=0)
    mask_channels: int = Field(default=64, gt=0)
    heads: int = Field(default=8, gt=0)
    keys: int = Field(default=4, gt=0)
    mu: float = Field(default=1.0, ge=0)
    """Weight of the KD term in the mask generator's objective."""
    weight: float = Field(default=2.0, ge=0)
    """Weight (the paper's lambda) of the KD term in the student's objective."""
    mask_lr: float = Field(default=2e-4, gt=0)
    """Learning rate of the mask generators, constant: they learn until they settle, not as long as the student."""
    mask_epochs: int | None = Field(default=None, ge=0)
    """Epochs after which mask learning halts at the latest; it does as soon as the masks have settled."""
    cache: bool = False
    """Keep the teacher's features in memory, computed once: for a few hundred keyframes, at most mirrored."""
    student_precision: Literal["fp32", "int8"] = "fp32"
    """``int8``: the student learns with weights and activations rounded as an INT8 export rounds them."""

    @model_validator(mode="after")
    def _check(self) -> "DistillConfig":
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise ValueError(f"distill.levels must name low, high or both once, got {list(self.levels)}")
        if self.mask_channels % self.heads:
            raise ValueError(
                f"distill.mask_channels ({self.mask_channels}) must be a multiple of distill.heads ({self.heads})"
            )
        return self


class AugmentConfig(Section):
    """Random augmentation of training samples; the defaults change nothing."""

    rotate: float = Field(default=0.0, ge=0)
    """Scene rotation about z, uniform in +-rotate radians."""
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = Field(default=0.0, ge=0)
    """Standard deviation of the scene translation per axis, metres."""
    flip_x: bool = False
    flip_y: bool = False
    image_resize: tuple[float, float] = (1.0, 1.0)
    """Image scale relative to the model's own resize."""
    image_rotate: float = Field(default=0.0, ge=0)
    """Image rotation, uniform in +-image_rotate degrees."""


class TrainConfig(Section):
    """One training stage."""

    stage: Literal["teacher", "student", "distill"]
    epochs: int = Field(default=20, gt=0)
    batch_size: int = Field(default=4, gt=0)
    lr: float = Field(default=2e-4, gt=0)
    backbone_lr_scale: float = Field(default=1.0, gt=0)
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    weight_decay: float = Field(default=1e-2, ge=0)
    gradient_clip: float = Field(default=35.0, gt=0)
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights; 0 keeps the plain weights."""
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    devices: int | Literal["auto"] = "auto"
    class_balanced: bool = False
    """Class-balanced grouping and sampling (CBGS)."""
    repeat: int = Field(default=1, gt=0)
    """Times each keyframe is seen in one epoch: raise it for a handful of keyframes, where epochs are a waste."""
    evaluate_every: int = Field(default=0, ge=0)
    """Epochs between evaluations on data.val_split while training; 0 evaluates once, at the end."""
    seed: int = Field(default=0, ge=0)
    init: Path | None = None
    """Run folder whose weights initialise those modules of the model that have the same names and shapes."""
    sensor_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability with which a training step of a teacher sees only one of its two sensors, either alike."""
    augment: AugmentConfig = AugmentConfig()

    @field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # YAML reads 32 as a number.
        return str(value) if isinstance(value, int) else value


class Config(Section):
    """Everything a run is made of."""

    task: Literal["detection", "segmentation"]
    data: DataConfig = DataConfig()
    model: ModelConfig
    train: TrainConfig
    distill: DistillConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if (self.train.stage == "distill") != (self.distill is not None):
            raise ValueError("the section distill belongs to train.stage=distill, and only there")
        if (self.train.stage == "teacher") != (self.model.fusion is not None):
            raise ValueError("train.stage=teacher needs model.fusion; student and distill must not have it")
        if self.train.sensor_dropout and self.train.stage != "teacher":
            raise ValueError(
                f"train.sensor_dropout ({self.train.sensor_dropout}) belongs to a teacher with two sensors; "
                f"leave it out for train.stage={self.train.stage}"
            )
        self._check_cache()
        return self

    def _check_cache(self) -> None:
        still = self.train.augment.model_copy(update={"flip_x": False, "flip_y": False})
        if self.distill is not None and self.distill.cache and still != AugmentConfig():
            raise ValueError(
                "distill.cache keeps the teacher's features of keyframes that are mirrored at most, and train.augment "
                "changes more; set distill.cache=false, or leave only flip_x and flip_y in train.augment"
            )


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Read a YAML config, merge it over its ``base`` and apply ``a.b=c`` overrides, whose values are YAML too.

    Raises:
        UserError: a file is missing or no YAML mapping, the bases go in a circle, an override is malformed, or a key
            or value is wrong.
    """
    content = _read_over_base(path)
    for override in overrides or []:
        _apply(content, override)
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], source: str) -> Config:
    """Validate a nested mapping; ``source`` names it in messages.

    Raises:
        UserError: one line with every wrong key and value.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(_explain(detail) for detail in error.errors())) from error


def dump_config(config: Config) -> str:
    """The resolved config as YAML that :func:`load_config` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _read_over_base(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The mapping of a file merged over its base's; ``above`` are the files whose base it is, the topmost first."""
    content = _read_mapping(path, f"{path} (the base of {above[-1]})" if above else str(path))
    if BASE not in content:
        return content
    name = content.pop(BASE)
    if not isinstance(name, str):
        raise UserError(f"{path}: {BASE} must be the path of a YAML file, got {name!r}")
    base, chain = path.parent / name, (*above, path)
    if base.resolve() in {file.resolve() for file in chain}:
        raise UserError(f"{path}: the bases go in a circle: {' -> '.join(map(str, (*chain, base)))}")
    return _merged(_read_over_base(base, chain), content)


def _read_mapping(path: Path, called: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the config {called}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{called} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{called} must hold a YAML mapping, got {type(content).__name__}")
    return content


def _merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """``lower`` with the values of ``upper``; only where both hold a mapping are the two merged in turn."""
    merged = lower | upper
    for key in lower.keys() & upper.keys():
        if isinstance(lower[key], dict) and isinstance(upper[key], dict):
            merged[key] = _merged(lower[key], upper[key])
    return merged


def _apply(content: dict[str, Any], override: str) -> None:
    keys, separator, text = override.partition("=")
    if not separator or not all(keys.split(".")):
        raise UserError(f"--set takes section.key=value, got {override!r}")
    if keys == BASE:
        raise UserError(f"--set {override}: a base is named in the config file itself")
    *sections, last = keys.split(".")
    target = content
    for section in sections:
        # A section that a file turned off by null is as good as one it does not name.
        if target.get(section) is None:
            target[section] = {}
        target = target[section]
        if not isinstance(target, dict):
            raise UserError(f"--set {override}: {section} is a value, not a section")
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML") from error


def _explain(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{where}: {message} (got {detail['input']!r})" if where and len(repr(detail["input"])) < 60 else message
    near = get_close_matches(str(detail["loc"][-1]), _keys(Config) | {BASE}, n=1, cutoff=0.5)
    return f"unknown key {where}" + (f", did you mean {near[0]}?" if near else "")


def _keys(model: type[BaseModel]) -> set[str]:
    keys = set(model.model_fields)
    for section in Section.__subclasses__():
        keys |= set(section.model_fields)
    return keys | set(BevGrid.model_fields)
