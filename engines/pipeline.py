"""From sensors to boxes: everything between a frame and its result, stage by stage and timed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.bundle import Bundle
from vexkd.engines.manifest import Selection
from vexkd.engines.preprocess import Frame, check_images, pad_points, ray_inputs
from vexkd.engines.session import Arrays, Device, Session
from vexkd.plugins.postprocess import select_boxes

POINTS, CALIBRATION, ENGINE, SELECTION = "point padding", "calibration", "engine", "post-processing"


class Boxes(NamedTuple):
    """Boxes over the score threshold, duplicates removed, best first; ego frame, metres."""

    boxes: NDArray[np.float32]
    """(M, 9) x, y, z, length, width, height, yaw, vx, vy."""
    scores: NDArray[np.float32]
    """(M,) in 0..1."""
    labels: NDArray[np.int32]
    """(M,) into the manifest's classes."""


@dataclass(frozen=True)
class Result:
    """What a bundle says about one frame."""

    boxes: Boxes | None
    """Of a detection bundle."""
    logits: NDArray[np.float32] | None
    """(6, 200, 200) of a segmentation bundle."""
    dropped_points: int
    """LiDAR points that did not fit the bundle's capacity."""
    seconds: dict[str, float]
    """Time of each stage, in order; together they are the whole way."""


class Pipeline:
    """A bundle, ready to look at frames.

    Args:
        bundle: a verified bundle.
        device: as :class:`vexkd.engines.session.Session` takes it.
        threads: of ONNX Runtime; 0 takes all cores.
        score_threshold: boxes under it are left out; by default the bundle's own.
    """

    def __init__(
        self, bundle: Bundle, device: Device = "auto", threads: int = 0, score_threshold: float | None = None
    ) -> None:
        self.bundle = bundle
        self.session = Session(bundle, device, threads)
        selection = bundle.manifest.selection
        own = 0.0 if selection is None else selection.score_threshold
        self.score_threshold = own if score_threshold is None else score_threshold

    def __call__(self, frame: Frame) -> Result:
        """Run one frame.

        Raises:
            UserError: the frame is not what the bundle was exported for.
        """
        manifest = self.bundle.manifest
        inputs: Arrays = {}
        seconds: dict[str, float] = {}
        dropped = 0
        if manifest.points is not None:
            with _timed(seconds, POINTS):
                padded = pad_points(frame.points, manifest.points.capacity)
                inputs |= {"points": padded.points, "count": padded.count}
                dropped = padded.dropped
        if manifest.camera is not None:
            with _timed(seconds, CALIBRATION):
                inputs["images"] = check_images(frame.images, manifest.camera, self.bundle)
                rays, origins = ray_inputs(manifest.camera, frame.intrinsics, frame.camera_to_ego)
                inputs |= {"rays": rays, "origins": origins}
        with _timed(seconds, ENGINE):
            outputs = self.session.run(inputs)
        if manifest.selection is None:
            return Result(None, outputs["logits"], dropped, seconds)
        with _timed(seconds, SELECTION):
            boxes = self._select(outputs, manifest.selection)
        return Result(boxes, None, dropped, seconds)

    def _select(self, outputs: Arrays, selection: Selection) -> Boxes:
        boxes, scores, labels = outputs["boxes"], outputs["scores"], outputs["labels"]
        kept = select_boxes(boxes, scores, labels, self.score_threshold, selection.rules)
        return Boxes(boxes[kept], scores[kept], labels[kept])


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
