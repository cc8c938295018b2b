"""Statistics of the benchmark; no time is asserted."""

from pathlib import Path

import numpy as np
import pytest
from tiny_bundles import camera_input, make_bundle

from vexkd.engines.bench import bench_bundles, latency
from vexkd.engines.machine import describe_machine
from vexkd.engines.manifest import Grid, PointInput
from vexkd.engines.probe import probe_frame

GRID = Grid(x=(-8, 8), y=(-4, 4), z=(-3, 3), cell=1.0, height=8, width=16)


def test_percentiles_by_hand() -> None:
    stage = latency("engine", [number / 1000 for number in range(101)])
    assert (stage.p50, stage.p90, stage.p99, stage.mean) == pytest.approx((50, 90, 99, 50))
    one = latency("engine", [0.25])
    assert (one.p50, one.p90, one.p99, one.mean) == pytest.approx((250, 250, 250, 250))


def test_a_report_compares_students_with_the_teacher(tmp_path: Path) -> None:
    student, teacher = make_bundle(tmp_path / "student.vexkd"), make_bundle(tmp_path / "teacher.vexkd", scale=2.0)
    steps: list[int] = []
    report = bench_bundles([student], teacher, "cpu", repeats=4, warm_up=2, threads=1, advance=lambda: steps.append(1))
    assert len(steps) == 2 * (4 + 2)
    assert [m.bundle for m in report.measurements] == ["student", "teacher"]
    assert report.against == "teacher"
    ours, theirs = report.measurements
    (ratio,) = report.ratios
    assert ratio.bundle == "student"
    assert ratio.gflops == 1.0 and ratio.parameters == 1.0
    assert ratio.speedup == pytest.approx(theirs.total.p50 / ours.total.p50)
    assert ratio.memory == pytest.approx(theirs.peak_memory_mib / ours.peak_memory_mib)
    assert [stage.stage for stage in ours.stages] == ["point padding", "engine", "post-processing"]
    assert ours.fps == pytest.approx(1000 / ours.total.p50)
    assert ours.peak_memory_mib > 1
    assert sum(stage.mean for stage in ours.stages) == pytest.approx(ours.total.mean)


def test_the_machine_is_named() -> None:
    machine = describe_machine()
    assert machine.cpu and machine.cores >= 1 and machine.memory_gib > 0
    assert machine.packages["numpy"] == np.__version__
    assert machine.cpu in machine.line()


def test_the_made_up_frame_fills_every_input_and_is_the_same_again() -> None:
    frames = [
        probe_frame(GRID, camera_input(), PointInput(capacity=300, sweeps=0, own_vehicle=1.0), seed=3) for _ in range(2)
    ]
    for name in ("points", "images", "intrinsics", "camera_to_ego"):
        np.testing.assert_array_equal(getattr(frames[0], name), getattr(frames[1], name))
    points = frames[0].points
    assert points.shape == (300, 5) and np.isfinite(points).all()
    assert frames[0].images.shape == (2, *camera_input().raw_size, 3)
    rotation = frames[0].camera_to_ego[:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (2, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
