"""The C++ runtime through its C ABI, as a C program would call it."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from vexkd.engines.native import onnxruntime_library
from vexkd.engines.preprocess import Frame
from vexkd.plugins.library import Grid, SweepRecord, kernels

CPU = 1
BOX = np.dtype([("box", "<f4", 9), ("score", "<f4"), ("label", "<i4")])
_I, _F, _D, _P, _Z = ctypes.c_int32, ctypes.c_float, ctypes.c_double, ctypes.c_void_p, ctypes.c_size_t


def _struct(name: str, *fields: tuple[str, Any]) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": fields})


Options = _struct(
    "Options", ("size", _Z), ("backend", _I), ("threads", _I), ("device", _I), ("warm_up", _I), ("cuda_graph", _I),
    ("score_threshold", _F), ("onnxruntime", ctypes.c_char_p), ("tensorrt", ctypes.c_char_p),
)  # fmt: skip
Info = _struct(
    "Info", ("size", _Z), ("task", _I), ("views", _I), ("cameras", ctypes.POINTER(ctypes.c_char_p)),
    ("image_height", _I), ("image_width", _I), ("point_capacity", _I), ("sweeps", _I), ("own_vehicle", _F),
    ("classes", _I), ("class_names", ctypes.POINTER(ctypes.c_char_p)), ("max_boxes", _I), ("map_height", _I),
    ("map_width", _I), ("score_threshold", _F), ("grid", Grid), ("name", ctypes.c_char_p),
    ("precision", ctypes.c_char_p), ("backend", ctypes.c_char_p), ("backend_kind", _I),
)  # fmt: skip
Calibration = _struct("Calibration", ("size", _Z), ("views", _I), ("intrinsics", _P), ("camera_to_ego", _P))
RawFrame = _struct(
    "RawFrame", ("size", _Z), ("image_block", _P), ("images", _P), ("points", _P), ("point_count", _I),
    ("sweep_count", _I), ("sweeps", _P), ("image_memory", _I), ("point_memory", _I),
)  # fmt: skip
Times = _struct("Times", *((n, _D) for n in ("points", "images", "frustum", "engine", "selection", "total")))
Detections = _struct(
    "Detections", ("size", _Z), ("boxes", _P), ("capacity", _I), ("count", _I), ("dropped_boxes", _I),
    ("dropped_points", _I), ("times", Times),
)  # fmt: skip
Map = _struct("Map", ("size", _Z), ("logits", _P), ("capacity", _Z), ("dropped_points", _I), ("times", Times))


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
    """A handle of the runtime."""

    def __init__(self, bundle: Path, threads: int = 1, **options: Any) -> None:
        made = Options()
        call("perception_default_options", ctypes.byref(made), _Z(ctypes.sizeof(Options)))
        made.backend, made.threads, made.onnxruntime = CPU, threads, os.fsencode(onnxruntime_library())
        for name, value in options.items():
            setattr(made, name, value)
        self.handle = ctypes.c_void_p()
        call("perception_open", os.fsencode(bundle), ctypes.byref(made), ctypes.byref(self.handle))
        self.info = Info(size=ctypes.sizeof(Info))
        call("perception_describe", self.handle, ctypes.byref(self.info))

    def close(self) -> None:
        kernels().vexkd_perception_close.restype = None
        kernels().vexkd_perception_close(self.handle)
        self.handle = ctypes.c_void_p()

    def calibrate(self, intrinsics: np.ndarray, camera_to_ego: np.ndarray) -> None:
        intrinsics, camera_to_ego = (np.ascontiguousarray(a, np.float64) for a in (intrinsics, camera_to_ego))
        given = Calibration(
            ctypes.sizeof(Calibration), len(intrinsics), intrinsics.ctypes.data, camera_to_ego.ctypes.data
        )
        call("perception_update_calibration", self.handle, ctypes.byref(given))

    def frame(self, frame: Frame, sweeps: Sequence[SweepRecord] = (), one_by_one: bool = False) -> Any:
        """The C frame; it keeps what it points to alive."""
        raw = RawFrame(size=ctypes.sizeof(RawFrame))
        points, images = np.ascontiguousarray(frame.points, np.float32), np.ascontiguousarray(frame.images)
        raw.points, raw.point_count = points.ctypes.data, len(points)
        raw.kept = [points, images]
        if self.info.views and one_by_one:
            pointers = (_P * len(images))(*(image.ctypes.data for image in images))
            raw.images = ctypes.cast(pointers, _P)
            raw.kept.append(pointers)
        elif self.info.views:
            raw.image_block = images.ctypes.data
        if sweeps:
            records = (SweepRecord * len(sweeps))(*sweeps)
            raw.sweeps, raw.sweep_count = ctypes.cast(records, _P), len(sweeps)
            raw.kept.append(records)
        return raw

    def detect(self, raw: Any, capacity: int | None = None) -> SimpleNamespace:
        """Boxes (M, 9), scores, labels, and what else the result says."""
        memory = np.zeros(self.info.max_boxes if capacity is None else capacity, BOX)
        result = Detections(ctypes.sizeof(Detections), memory.ctypes.data, len(memory))
        call("perception_detect", self.handle, ctypes.byref(raw), ctypes.byref(result))
        kept = memory[: result.count]
        return SimpleNamespace(
            boxes=kept["box"], scores=kept["score"], labels=kept["label"], dropped_boxes=result.dropped_boxes,
            dropped_points=result.dropped_points, times=result.times,
        )  # fmt: skip

    def segment(self, raw: Any, capacity: int | None = None) -> SimpleNamespace:
        """Logits (C, H, W), and what else the result says."""
        logits = np.zeros((self.info.classes, self.info.map_height, self.info.map_width), np.float32)
        result = Map(ctypes.sizeof(Map), logits.ctypes.data, logits.size if capacity is None else capacity)
        call("perception_segment", self.handle, ctypes.byref(raw), ctypes.byref(result))
        return SimpleNamespace(logits=logits, dropped_points=result.dropped_points, times=result.times)
