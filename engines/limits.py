"""What bundles must reach on a card, read from a file such as ``configs/bench/rtx4090.yaml``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vexkd.engines.cards import known_card
from vexkd.plugins.errors import UserError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Task = Literal["detection", "segmentation"]


class Section(BaseModel):
    """Base of every part: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StudentLimits(Section):
    """Limits for students of one task and sensor."""

    task: Task
    sensors: tuple[Literal["camera", "lidar"]]
    fps: Positive
    """At least: 1 / median time from sensor data in the host's memory to boxes or a map."""
    p99_ms: Positive
    """At most: 99th percentile of that time."""
    gflops: Positive
    """At most: counted from the graph."""
    speedup: Positive
    """At least: frames per second over those of the teacher on the same machine."""
    gflops_share: Positive
    """At most: of the teacher's GFLOPs."""
    accuracy_share: Positive
    """At least: of the teacher's NDS or mIoU on the same split."""

    @property
    def name(self) -> str:
        """As verdicts call it: "detection, camera"."""
        return f"{self.task}, {self.sensors[0]}"


class Limits(Section):
    """Limits on one card; the teacher of a task is its bundle with both sensors."""

    card: str
    """A name of :data:`vexkd.engines.cards.CARDS`."""
    precision: Literal["fp32", "fp16", "int8"]
    students: Annotated[tuple[StudentLimits, ...], Field(min_length=1)]

    @field_validator("card")
    @classmethod
    def _known(cls, name: str) -> str:
        card = known_card(name)
        if card is None:
            raise ValueError("no peaks are on record for this card")
        return card.name

    @model_validator(mode="after")
    def _one_each(self) -> "Limits":
        names = [student.name for student in self.students]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{'; '.join(twice)} has limits twice")
        return self


def read_limits(path: Path) -> Limits:
    """Read a file of limits.

    Raises:
        UserError: it cannot be read, is no YAML mapping, or a key or value is wrong; one line that says where.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the limits {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a YAML mapping of card, precision, students, got {type(content).__name__}")
    try:
        return Limits.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_explain(detail) for detail in error.errors())) from error


def _explain(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{where} is missing"
    if detail["type"] == "extra_forbidden":
        return f"unknown key {where}"
    given = repr(detail["input"])
    told = f"{where}: {message}" if where else message
    return f"{told} (got {given})" if where and len(given) < 60 else told
