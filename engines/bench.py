"""How long a bundle takes at batch 1, from sensor input to boxes, stage by stage."""

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from vexkd.engines.bundle import Bundle
from vexkd.engines.machine import Machine, describe_machine
from vexkd.engines.pipeline import ENGINE, Pipeline
from vexkd.engines.preprocess import Frame
from vexkd.engines.probe import probe_frame
from vexkd.engines.session import Device

TOTAL = "sensors to result"


class Section(BaseModel):
    """Base of the measured values."""

    model_config = ConfigDict(frozen=True)


class Latency(Section):
    """Milliseconds of one stage over all repeats."""

    stage: str
    mean: float
    p50: float
    p90: float
    p99: float


class Measurement(Section):
    """One bundle on one machine."""

    bundle: str
    task: Literal["detection", "segmentation"]
    sensors: tuple[str, ...]
    precision: str
    runtime: str
    threads: int
    """Threads of ONNX Runtime; 0 means all cores."""
    repeats: int
    warm_up: int
    input: str
    stages: tuple[Latency, ...]
    total: Latency
    fps: float
    """1 / median time of the whole way from sensors to result."""
    engine_fps: float
    """1 / median time of the engine alone."""
    gflops: float
    parameters: int
    model_mib: float
    peak_memory_mib: float
    """Largest resident memory of the process while the bundle was loaded and run, the process itself included."""


class Ratio(Section):
    """A bundle against the reference: how many times less it needs, or how many times faster it is."""

    bundle: str
    speedup: float
    gflops: float
    parameters: float
    memory: float


class Report(Section):
    """All bundles, side by side."""

    machine: Machine
    measurements: tuple[Measurement, ...]
    against: str | None
    ratios: tuple[Ratio, ...]


def bench_bundles(
    bundles: Sequence[Bundle],
    against: Bundle | None = None,
    device: Device = "auto",
    repeats: int = 50,
    warm_up: int = 5,
    threads: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Report:
    """Measure bundles, and the reference where one is given, on a made-up frame that fills every input.

    ``advance`` is called after each run.
    """
    everything = [*bundles, *([] if against is None else [against])]
    measured = [measure(bundle, device, repeats, warm_up, threads, None, advance) for bundle in everything]
    reference = None if against is None else measured[-1]
    students = measured[: len(bundles)]
    return Report(
        machine=describe_machine(),
        measurements=tuple(measured),
        against=None if reference is None else reference.bundle,
        ratios=() if reference is None else tuple(compare(student, reference) for student in students),
    )


def measure(
    bundle: Bundle,
    device: Device = "auto",
    repeats: int = 50,
    warm_up: int = 5,
    threads: int = 0,
    frame: Frame | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Measurement:
    """Run a bundle ``warm_up`` + ``repeats`` times on one frame, by default a made-up one."""
    manifest = bundle.manifest
    reset_peak_memory()
    pipeline = Pipeline(bundle, device, threads)
    given = probe_frame(manifest.grid, manifest.camera, manifest.points) if frame is None else frame
    runs: list[dict[str, float]] = []
    for run in range(warm_up + repeats):
        seconds = pipeline(given).seconds
        runs += [seconds] if run >= warm_up else []
        advance()
    stages = tuple(latency(stage, [run[stage] for run in runs]) for stage in runs[0])
    total = latency(TOTAL, [sum(run.values()) for run in runs])
    engine = next(stage for stage in stages if stage.stage == ENGINE)
    return Measurement(
        bundle=bundle.name,
        task=manifest.task,
        sensors=manifest.sensors,
        precision=manifest.precision,
        runtime=pipeline.session.runtime,
        threads=threads,
        repeats=repeats,
        warm_up=warm_up,
        input="made-up frame that fills every input" if frame is None else "given frame",
        stages=stages,
        total=total,
        fps=1000 / total.p50,
        engine_fps=1000 / engine.p50,
        gflops=manifest.cost.gflops,
        parameters=manifest.cost.parameters,
        model_mib=bundle.model.stat().st_size / 2**20,
        peak_memory_mib=measured_peak_mib(),
    )


def latency(stage: str, seconds: Sequence[float]) -> Latency:
    """Statistics in milliseconds; percentiles interpolate linearly between runs."""
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99]) * 1000
    return Latency(stage=stage, mean=float(np.mean(seconds)) * 1000, p50=p50, p90=p90, p99=p99)


def compare(student: Measurement, reference: Measurement) -> Ratio:
    """Reference over student for each cost, so that more is better throughout."""
    return Ratio(
        bundle=student.bundle,
        speedup=reference.total.p50 / student.total.p50,
        gflops=reference.gflops / student.gflops,
        parameters=reference.parameters / student.parameters,
        memory=reference.peak_memory_mib / student.peak_memory_mib,
    )


def reset_peak_memory() -> None:
    """Let Linux count the peak from here on; where it may not, the peak is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measured_peak_mib() -> float:
    """Largest resident memory of this process since :func:`reset_peak_memory`."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
