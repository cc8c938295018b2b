"""The C++ runtime through its C ABI (vexkd/perception.h), as a C program would call it: for tests and benchmarks.

:class:`vexkd.engines.pipeline.Pipeline` is the way to run a bundle from Python.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vexkd.engines.native import onnxruntime_library
from vexkd.engines.preprocess import Frame
from vexkd.plugins.library import Grid, SweepRecord, kernels

CPU = 1
"""VEXKD_BACKEND_ONNXRUNTIME_CPU."""
BOX = np.dtype([("box", "<f4", 9), ("score", "<f4"), ("label", "<i4")])
"""vexkd_box."""
_TYPES: dict[str, Any] = {
    "i": ctypes.c_int32,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
    "z": ctypes.c_size_t,
    "S": ctypes.POINTER(ctypes.c_char_p),
    "G": Grid,
}


def _fields(text: str) -> list[tuple[str, Any]]:
    """Fields of a struct from "name:type" words."""
    return [(name, _TYPES[kind]) for name, _, kind in (word.partition(":") for word in text.split())]


class Options(ctypes.Structure):
    """vexkd_perception_options."""

    _fields_ = _fields(
        "size:z backend:i threads:i device:i warm_up:i cuda_graph:i score_threshold:f onnxruntime:s tensorrt:s"
    )


class Info(ctypes.Structure):
    """vexkd_perception_info."""

    _fields_ = _fields(
        "size:z task:i views:i cameras:S image_height:i image_width:i point_capacity:i sweeps:i own_vehicle:f classes:i"
        " class_names:S max_boxes:i map_height:i map_width:i score_threshold:f grid:G name:s precision:s backend:s"
        " backend_kind:i"
    )


class Calibration(ctypes.Structure):
    """vexkd_calibration."""

    _fields_ = _fields("size:z views:i intrinsics:p camera_to_ego:p")


class RawFrame(ctypes.Structure):
    """vexkd_frame."""

    _fields_ = _fields(
        "size:z image_block:p images:p points:p point_count:i sweep_count:i sweeps:p image_memory:i point_memory:i"
    )
    kept: list[Any]
    """What its pointers point to."""


class Times(ctypes.Structure):
    """vexkd_times, seconds."""

    _fields_ = _fields("points:d images:d calibration:d engine:d selection:d total:d")


class Detections(ctypes.Structure):
    """vexkd_detections."""

    _fields_ = (*_fields("size:z boxes:p capacity:i count:i dropped_boxes:i dropped_points:i"), ("times", Times))


class Map(ctypes.Structure):
    """vexkd_map."""

    _fields_ = (*_fields("size:z logits:p capacity:z dropped_points:i"), ("times", Times))


class FoundBoxes(NamedTuple):
    """Result of a detection bundle."""

    boxes: NDArray[np.float32]
    """(M, 9) as in :class:`vexkd.engines.pipeline.Boxes`."""
    scores: NDArray[np.float32]
    labels: NDArray[np.int32]
    dropped_boxes: int
    dropped_points: int
    times: Times


class FoundMap(NamedTuple):
    """Result of a segmentation bundle."""

    logits: NDArray[np.float32]
    """(C, H, W)."""
    dropped_points: int
    times: Times


class RuntimeRefusal(Exception):
    """A status that is not OK, with the runtime's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def call(name: str, *arguments: Any) -> None:
    """Call ``vexkd_<name>``; RuntimeRefusal if it is not OK."""
    library = kernels()
    library.vexkd_last_message.restype = ctypes.c_char_p
    status = getattr(library, f"vexkd_{name}")(*arguments)
    if status != 0:
        raise RuntimeRefusal(status, os.fsdecode(library.vexkd_last_message()))


class NativePerception:
    """A handle of the runtime.

    Args:
        bundle: folder of the bundle.
        threads: of work on the CPU.
        options: other fields of :class:`Options`.

    Raises:
        RuntimeRefusal: the runtime does not open it.
    """

    def __init__(self, bundle: Path, threads: int = 1, **options: Any) -> None:
        made = Options()
        call("perception_default_options", ctypes.byref(made), ctypes.c_size_t(ctypes.sizeof(Options)))
        made.backend, made.threads, made.onnxruntime = CPU, threads, os.fsencode(onnxruntime_library())
        for name, value in options.items():
            setattr(made, name, value)
        self.handle = ctypes.c_void_p()
        call("perception_open", os.fsencode(bundle), ctypes.byref(made), ctypes.byref(self.handle))
        self.info = Info(size=ctypes.sizeof(Info))
        call("perception_describe", self.handle, ctypes.byref(self.info))

    def close(self) -> None:
        """Free the handle; it cannot be used again."""
        kernels().vexkd_perception_close.restype = None
        kernels().vexkd_perception_close(self.handle)
        self.handle = ctypes.c_void_p()

    def calibrate(self, intrinsics: NDArray[np.float64], camera_to_ego: NDArray[np.float64]) -> None:
        """Calibration (V, 3, 3) and (V, 4, 4) of the frames that follow."""
        intrinsics, camera_to_ego = (np.ascontiguousarray(a, np.float64) for a in (intrinsics, camera_to_ego))
        given = Calibration(
            ctypes.sizeof(Calibration), len(intrinsics), intrinsics.ctypes.data, camera_to_ego.ctypes.data
        )
        call("perception_update_calibration", self.handle, ctypes.byref(given))

    def frame(self, frame: Frame, sweeps: Sequence[SweepRecord] = (), one_by_one: bool = False) -> RawFrame:
        """The C frame, with images in one block or one by one, and sweeps in place of points where there are any."""
        raw = RawFrame(size=ctypes.sizeof(RawFrame))
        points, images = np.ascontiguousarray(frame.points, np.float32), np.ascontiguousarray(frame.images)
        raw.points, raw.point_count = points.ctypes.data, len(points)
        raw.kept = [points, images]
        if self.info.views and one_by_one:
            pointers = (ctypes.c_void_p * len(images))(*(image.ctypes.data for image in images))
            raw.images = ctypes.cast(pointers, ctypes.c_void_p)
            raw.kept.append(pointers)
        elif self.info.views:
            raw.image_block = images.ctypes.data
        if sweeps:
            records = (SweepRecord * len(sweeps))(*sweeps)
            raw.sweeps, raw.sweep_count = ctypes.cast(records, ctypes.c_void_p), len(sweeps)
            raw.kept.append(records)
        return raw

    def detect(self, raw: RawFrame, capacity: int | None = None) -> FoundBoxes:
        """Boxes of a frame, at most ``capacity`` of them."""
        memory = np.zeros(self.info.max_boxes if capacity is None else capacity, BOX)
        result = Detections(ctypes.sizeof(Detections), memory.ctypes.data, len(memory))
        call("perception_detect", self.handle, ctypes.byref(raw), ctypes.byref(result))
        kept = memory[: result.count]
        return FoundBoxes(
            kept["box"], kept["score"], kept["label"], result.dropped_boxes, result.dropped_points, result.times
        )

    def segment(self, raw: RawFrame, capacity: int | None = None) -> FoundMap:
        """Logits of a frame, into memory that is said to hold ``capacity`` floats."""
        logits = np.zeros((self.info.classes, self.info.map_height, self.info.map_width), np.float32)
        result = Map(ctypes.sizeof(Map), logits.ctypes.data, logits.size if capacity is None else capacity)
        call("perception_segment", self.handle, ctypes.byref(raw), ctypes.byref(result))
        return FoundMap(logits, result.dropped_points, result.times)
