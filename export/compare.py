"""The same frames through two bundles, or through two backends of one: how far apart, and where it begins."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from vexkd.engines.bundle import Bundle
from vexkd.engines.manifest import BoxParity, Parity
from vexkd.engines.preprocess import Frame
from vexkd.export.contestant import Backend, Contestant, bundle_inputs, has_onnx
from vexkd.export.parity import DENSE_OUTPUTS, TOLERANCES, failures, measure_parity, output_parity
from vexkd.plugins.errors import UserError

ROUNDING = {"fp32": 1e-4, "fp16": 1e-2}
"""Difference of an inner tensor over its magnitude from which on it is more than rounding."""
CHUNK_BYTES = 2**28
"""Inner tensors are looked at in groups of so many bytes, as all of them at once take several GiB."""


class TensorDifference(BaseModel):
    """The largest difference of one tensor over all frames."""

    model_config = ConfigDict(frozen=True)

    name: str
    max_abs: float
    max_rel: float
    """Over the tensor's largest magnitude."""
    identical: bool
    """Bit for bit."""


class Comparison(BaseModel):
    """Two bundles on their backends."""

    model_config = ConfigDict(frozen=True)

    a: str
    b: str
    frames: int
    tolerance: float
    """Relative, of outputs."""
    centre_tolerance: float
    """Metres, of boxes."""
    outputs: tuple[TensorDifference, ...]
    boxes: BoxParity | None
    """Of the frame whose boxes are furthest apart."""
    differences: tuple[str, ...]
    """What is beyond the tolerance in the first frame where something is; empty if the two agree."""
    first: TensorDifference | None
    """The first tensor of the graph that differs by more than rounding, on that frame."""
    first_detail: str
    """Why none was found, empty if one was or none was looked for."""

    @property
    def agree(self) -> bool:
        """Whether nothing is beyond the tolerance."""
        return not self.differences


def compare(
    a: Bundle,
    b: Bundle,
    frames: Iterable[Frame],
    backends: tuple[Backend, Backend],
    threads: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Run frames through both and compare what they say; the tolerance is that of the coarser of the precisions.

    ``advance`` is called after each frame.

    Raises:
        UserError: the two do not answer the same question, a backend is not here, there is no frame.
    """
    _check_comparable(a, b)
    one, other = Contestant(a, backends[0], threads), Contestant(b, backends[1], threads)
    coarser: Literal["fp32", "fp16"] = "fp16" if "fp16" in (a.manifest.precision, b.manifest.precision) else "fp32"
    tolerance = TOLERANCES[coarser]
    worst: dict[str, TensorDifference] = {}
    boxes: BoxParity | None = None
    told: list[str] = []
    culprit: Frame | None = None
    count = 0
    for frame in frames:
        found = _compare_frame(one, other, frame, worst)
        if found.boxes is not None and (boxes is None or _rank(found.boxes) > _rank(boxes)):
            boxes = found.boxes
        beyond = failures(found, tolerance)
        if beyond and culprit is None:
            told, culprit = beyond, frame
        count += 1
        advance()
    if count == 0:
        raise UserError("there is no frame to compare on")
    first, detail = (None, "") if culprit is None else _first_difference(one, other, culprit, threads, coarser)
    return Comparison(
        a=_name(one),
        b=_name(other),
        frames=count,
        tolerance=tolerance.relative,
        centre_tolerance=tolerance.centre,
        outputs=tuple(worst.values()),
        boxes=boxes,
        differences=tuple(told),
        first=first,
        first_detail=detail,
    )


def tensor_difference(name: str, a: NDArray[Any], b: NDArray[Any]) -> TensorDifference:
    """How far two arrays of one shape are apart; infinitely far where only one of them is not a number."""
    judged = ~(np.isnan(a) & np.isnan(b))
    parity = output_parity(np.where(judged, a, 0), np.where(judged, b, 0))
    return TensorDifference(
        name=name, max_abs=parity.max_abs, max_rel=parity.max_rel, identical=a.tobytes() == b.tobytes()
    )


def _compare_frame(one: Contestant, other: Contestant, frame: Frame, worst: dict[str, TensorDifference]) -> Parity:
    """Parity on a frame; ``worst`` keeps the largest difference of each tensor that is compared value by value."""
    said, answered = one.run(bundle_inputs(one.bundle, frame)), other.run(bundle_inputs(other.bundle, frame))
    for name in (*DENSE_OUTPUTS, "scores", "logits"):
        if name in said and name in answered and said[name].shape == answered[name].shape:
            found, before = tensor_difference(name, said[name], answered[name]), worst.get(name)
            if before is not None:
                same = found.identical and before.identical
                found = max(found, before, key=lambda one: one.max_rel).model_copy(update={"identical": same})
            worst[name] = found
    selection = one.bundle.manifest.selection
    threshold = 0.0 if selection is None else selection.score_threshold
    return measure_parity(said, answered, threshold, "frame", other.runtime)


def _first_difference(
    one: Contestant, other: Contestant, frame: Frame, threads: int, precision: Literal["fp32", "fp16"]
) -> tuple[TensorDifference | None, str]:
    """The first tensor of both graphs that differs by more than rounding, in the order of the first's nodes."""
    if not has_onnx():
        return None, "inner tensors are looked at with the package onnx: pip install 'vexkd[train]'"
    if "tensorrt" in (one.backend, other.backend):
        return None, "an engine shows no inner tensors; compare the bundles on the CPU"
    from vexkd.export.inner_tensors import float_tensors

    shapes, others = float_tensors(one.bundle.model), float_tensors(other.bundle.model)
    common = [name for name, shape in shapes.items() if others.get(name) == shape]
    given, taken = bundle_inputs(one.bundle, frame), bundle_inputs(other.bundle, frame)
    for names in _groups(common, shapes):
        said = Contestant(one.bundle, one.backend, threads, names).run(given)
        answered = Contestant(other.bundle, other.backend, threads, names).run(taken)
        for name in names:
            found = tensor_difference(name, *(arrays[name].astype(np.float32) for arrays in (said, answered)))
            if found.max_rel > ROUNDING[precision]:
                return found, ""
    return None, f"none of the {len(common)} inner tensors of one name and shape differs by more than rounding"


def _groups(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """The names in order, in groups of no more than ``CHUNK_BYTES`` or of one."""
    group: list[str] = []
    size = 0
    for name in names:
        bytes_ = 4 * math.prod(shapes[name])
        if group and size + bytes_ > CHUNK_BYTES:
            yield group
            group, size = [], 0
        group.append(name)
        size += bytes_
    if group:
        yield group


def _check_comparable(a: Bundle, b: Bundle) -> None:
    for what in ("task", "classes"):
        mine, theirs = getattr(a.manifest, what), getattr(b.manifest, what)
        if mine != theirs:
            raise UserError(f"{a.path} and {b.path} answer different questions: {what} {mine} and {theirs}")


def _rank(boxes: BoxParity) -> tuple[int, float]:
    return boxes.unmatched, boxes.max_centre


def _name(contestant: Contestant) -> str:
    return f"{contestant.bundle.path}, {contestant.runtime}"
