"""What our operators cost in ONNX Runtime: as function bodies of the model, and on the kernels of the native library.

    python -m benchmarks.operators BUNDLE... [--threads 1 2] [--rounds 30] [--json runs/bench/operators.json]

Both sessions of a bundle take turns on one made-up frame that fills every input, on the CPU provider. Times are the
session's alone, without preprocessing and selection of boxes.
"""

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from vexkd.engines.bundle import Bundle, read_bundle
from vexkd.engines.machine import describe_machine
from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.engines.preprocess import frustum_inputs, pad_points
from vexkd.engines.probe import probe_frame
from vexkd.engines.session import Arrays
from vexkd.plugins.files import write_text
from vexkd.plugins.library import build_info
from vexkd.training.machine import git_commit

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


def inputs_of(bundle: Bundle) -> Arrays:
    """The model's inputs for a made-up frame."""
    manifest = bundle.manifest
    frame = probe_frame(manifest.grid, manifest.camera, manifest.points)
    inputs: Arrays = {}
    if manifest.points is not None:
        padded = pad_points(frame.points, manifest.points.capacity)
        inputs |= {"points": padded.points, "count": padded.count}
    if manifest.camera is not None:
        points, starts = frustum_inputs(manifest.camera, manifest.grid, frame.intrinsics, frame.camera_to_ego)
        inputs |= {"images": frame.images, "frustum_points": points, "frustum_starts": starts}
    return inputs


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
    inputs = inputs_of(bundle)
    bodies = OnnxRuntime(bundle.model, "cpu", threads, operators="bodies")
    native = OnnxRuntime(bundle.model, "cpu", threads, operators="native")
    times = take_turns({"bodies": lambda: bodies.run(inputs), "native": lambda: native.run(inputs)}, rounds)
    return {
        "bundle": bundle.name,
        "sensors": bundle.manifest.sensors,
        "precision": bundle.manifest.precision,
        "threads": threads,
        "rounds": rounds,
        "bodies_ms": median_of(times["bodies"])._asdict(),
        "native_ms": median_of(times["native"])._asdict(),
        "speedup": median_of([b / n for b, n in zip(times["bodies"], times["native"], strict=True)])._asdict(),
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table("bundle", "threads", "bodies, ms", "native, ms", "speedup", title="median (95 % interval)")
    for row in rows:
        cells = [Median(**row[name]) for name in ("bodies_ms", "native_ms", "speedup")]
        texts = [f"{cell.median:.2f} ({cell.low:.2f} .. {cell.high:.2f})" for cell in cells]
        table.add_row(row["bundle"], str(row["threads"]), *texts)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, default=Path("runs/bench/operators.json"))
    arguments = parser.parse_args()
    load = os.getloadavg()
    bundles = [read_bundle(path) for path in arguments.bundles]
    rows = [measure(bundle, threads, arguments.rounds) for bundle in bundles for threads in arguments.threads]
    print_rows(rows)
    record = {
        "rows": rows,
        "load_before": load,
        "machine": describe_machine().model_dump(),
        "library": build_info(),
        "commit": git_commit(),
        "command": shlex.join(["python", "-m", "benchmarks.operators", *sys.argv[1:]]),
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.json, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
