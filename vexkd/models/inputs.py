"""What goes into a model, what comes out of it, and what it is trained on.

B samples, V cameras per sample, N points per sample, H x W BEV cells.
"""

from typing import NamedTuple

from torch import Tensor


class Inputs(NamedTuple):
    """Sensor data of a batch; what a model does not read may be None.

    Attributes:
        images: (B, V, H_raw, W_raw, 3) uint8 RGB as the cameras give them.
        points: (B, N, 5) float32 points in the ego frame, as in :mod:`vexkd.geometry`.
        counts: (B,) int32, how many of the N points are valid.
        rays: (B * V, 3, 3) float32: a point at depth d on pixel (u, v) of the prepared image lies at
            rays @ (u, v, 1) * d + origin in ego, metres.
        origins: (B * V, 3) float32, metres: the cameras' centres in ego.
        image_transforms: (B * V, 3, 3) float32 from raw to prepared pixels, or None for the model's own resize and
            crop (the only way that is exported).
    """

    images: Tensor | None = None
    points: Tensor | None = None
    counts: Tensor | None = None
    rays: Tensor | None = None
    origins: Tensor | None = None
    image_transforms: Tensor | None = None


class Features(NamedTuple):
    """The BEV features of a model: all that distillation reads.

    Attributes:
        low: (B, C_low, H, W) before the BEV encoder.
        high: (B, C_high, H, W) after the BEV encoder.
        query: (B, H * W, C) last BEV query of the modality-general fusion; None in every other model.
    """

    low: Tensor
    high: Tensor
    query: Tensor | None


class Output(NamedTuple):
    """What a model computes.

    Attributes:
        low, high, query: as in :class:`Features`.
        prediction: detection: the raw maps of :class:`vexkd.models.center_head.CenterHead`; segmentation: logits
            (B, 6, 200, 200).
    """

    low: Tensor
    high: Tensor
    prediction: dict[str, Tensor] | Tensor
    query: Tensor | None = None


class Detections(NamedTuple):
    """Decoded boxes, best first.

    Attributes:
        boxes: (B, K, 9) float32, columns as in :mod:`vexkd.geometry`.
        scores: (B, K) float32 in 0..1, descending.
        labels: (B, K) int32 into ``vexkd.classes.DETECTION_CLASSES``.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Targets(NamedTuple):
    """Ground truth of a batch; what a task does not read may be None.

    Attributes:
        boxes: B tensors (M_b, 9) float32.
        labels: B tensors (M_b,) int64 into ``vexkd.classes.DETECTION_CLASSES``; negative ones are ignored.
        map_labels: (B, 6, 200, 200) 0, 1 or ``vexkd.classes.MAP_UNKNOWN``, any dtype.
    """

    boxes: list[Tensor] | None = None
    labels: list[Tensor] | None = None
    map_labels: Tensor | None = None
