"""What a frame costs on the CPU: operators as function bodies against native ones, Python against C++.

    python -m benchmarks.deployment BUNDLE... [--threads 1 2] [--rounds 30] [--json runs/bench/deployment.json]

The four contestants of a bundle take turns on one made-up frame that fills every input, in ONNX Runtime on the CPU.
``bodies`` and ``native`` are the session alone; ``Python`` and ``C++`` are whole frames, from points, images and a new
calibration to selected boxes or a map, both with native operators.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.record import write_record
from vexkd.engines.bundle import Bundle, read_bundle
from vexkd.engines.native_runtime import NativePerception
from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.engines.pipeline import Pipeline
from vexkd.engines.preprocess import model_inputs
from vexkd.engines.probe import ProbeFrame, probe_frame

WARM_UP = 3
PAUSE = 0.02
"""Seconds before a turn, in which the threads of the session before stop spinning."""


class Median(NamedTuple):
    """A median and its 95 % interval, which assumes nothing about the distribution."""

    low: float
    median: float
    high: float


def median_of(values: Sequence[float]) -> Median:
    """Median; the interval's ends are the values whose ranks a fair coin stays between 95 times in 100."""
    ordered = np.sort(values)
    count = len(ordered)
    rank = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    return Median(float(ordered[rank]), float(np.median(ordered)), float(ordered[count - 1 - rank]))


def take_turns(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each function in each round."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(WARM_UP + rounds):
        for name, function in functions.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            function()
            took = (time.perf_counter() - start) * 1e3
            if turn >= WARM_UP:
                times[name].append(took)
    return times


def measure(bundle: Bundle, threads: int, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    manifest, frames = bundle.manifest, [frame_of(bundle, seed) for seed in range(2)]
    inputs = model_inputs(manifest.camera, manifest.points, frames[0])
    bodies = OnnxRuntime(bundle.model, "cpu", threads, operators="bodies")
    native = OnnxRuntime(bundle.model, "cpu", threads, operators="native")
    pipeline, perception = Pipeline(bundle, "cpu", threads), NativePerception(bundle.path, threads)
    inner: list[float] = []

    def run_native() -> None:
        # Calibration of the other frame, so that rays and index are made anew.
        if perception.info.views:
            perception.calibrate(frames[len(inner) % 2].intrinsics, frames[len(inner) % 2].camera_to_ego)
        raw = perception.frame(frames[0])
        found = perception.segment(raw) if manifest.selection is None else perception.detect(raw)
        inner.append((found.times.total - found.times.engine) * 1e3)

    contestants = {
        "bodies": lambda: bodies.run(inputs),
        "native": lambda: native.run(inputs),
        "python": lambda: pipeline(frames[0]),
        "cpp": run_native,
    }
    times = take_turns(contestants, rounds)
    perception.close()
    return {
        "bundle": bundle.name,
        "sensors": manifest.sensors,
        "precision": manifest.precision,
        "threads": threads,
        "rounds": rounds,
        **{f"{name}_ms": median_of(values)._asdict() for name, values in times.items()},
        "speedup": median_of([b / n for b, n in zip(times["bodies"], times["native"], strict=True)])._asdict(),
        "cpp_beside_the_engine_ms": median_of(inner[WARM_UP:])._asdict(),
    }


def frame_of(bundle: Bundle, seed: int) -> ProbeFrame:
    """A made-up frame; with another seed the cameras stand a little higher."""
    manifest = bundle.manifest
    frame = probe_frame(manifest.grid, manifest.camera, manifest.points)
    return replace(frame, camera_to_ego=frame.camera_to_ego + 0.01 * seed * np.eye(4, k=1) * np.eye(4)[:, 2:3])


def print_rows(rows: list[dict[str, Any]]) -> None:
    names = {"bodies_ms": "bodies", "native_ms": "native", "speedup": "speedup", "python_ms": "Python", "cpp_ms": "C++"}
    table = Table("bundle", "threads", *names.values(), title="milliseconds, median (95 % interval)")
    for row in rows:
        cells = [Median(**row[name]) for name in names]
        texts = [f"{cell.median:.2f} ({cell.low:.2f} .. {cell.high:.2f})" for cell in cells]
        table.add_row(row["bundle"], str(row["threads"]), *texts)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, default=Path("runs/bench/deployment.json"))
    arguments = parser.parse_args()
    load = os.getloadavg()
    bundles = [read_bundle(path) for path in arguments.bundles]
    rows = [measure(bundle, threads, arguments.rounds) for bundle in bundles for threads in arguments.threads]
    print_rows(rows)
    write_record(arguments.json, "deployment", rows, load)


if __name__ == "__main__":
    main()
