"""Sweeps to one cloud: C against numpy."""

import numpy as np
import pytest
from clouds import THREADS, exact
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_camera_rays import rotations

from vexkd.plugins.library import KernelError
from vexkd.plugins.points import PointCloud, Sweep, accumulate_sweeps, pad_points
from vexkd.plugins.reference import points as oracle


def random_sweep(rng: np.random.Generator, count: int, columns: int = 5, broken: float = 0.02) -> Sweep:
    """Points of which many lie on the vehicle or on its border, and some are not finite."""
    points = rng.normal(0, 3, (count, columns)).astype(np.float32)
    points[:, 3] = rng.integers(0, 256, count)
    points[rng.random((count, columns)) < 0.1] = 1.0
    points[rng.random((count, columns)) < broken] = rng.choice([np.nan, np.inf, -np.inf, 3e38])
    pose = np.eye(4)
    pose[:3, :3] = rotations(rng, 1)[0]
    pose[:3, 3] = rng.normal(0, 20, 3)
    return Sweep(points, pose, rng.random(), rng.choice([1.0, 255.0, 0.3]), rng.choice([0.0, 1.0, 2.5]))


def assert_same(ours: PointCloud, theirs: PointCloud) -> None:
    """The same bits, but for which NaN it is."""
    assert (ours.count, ours.dropped) == (theirs.count, theirs.dropped)
    np.testing.assert_array_equal(ours.points, theirs.points)
    np.testing.assert_array_equal(np.signbit(np.nan_to_num(ours.points)), np.signbit(np.nan_to_num(theirs.points)))


@exact
@given(
    st.lists(st.integers(0, 60), max_size=4), st.integers(4, 7), st.integers(0, 150), st.sampled_from(THREADS),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_same_bits_as_the_reference(
    counts: list[int], columns: int, capacity: int, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sweeps = [random_sweep(rng, count, columns) for count in counts]
    assert_same(accumulate_sweeps(sweeps, capacity, threads), oracle.accumulate_sweeps(sweeps, capacity))


@pytest.mark.parametrize("capacity", [200_000, 70_000, 5])
def test_the_same_bits_for_any_number_of_threads(capacity: int) -> None:
    rng = np.random.default_rng(0)
    sweeps = [random_sweep(rng, count, broken=1e-3) for count in (20_000, 0, 1, 30_000, 8192, 60_000)]
    first = accumulate_sweeps(sweeps, capacity, 1)
    assert_same(first, oracle.accumulate_sweeps(sweeps, capacity))
    for threads in THREADS * 2:
        again = accumulate_sweeps(sweeps, capacity, threads)
        assert (again.count, again.dropped) == (first.count, first.dropped)
        assert again.points.tobytes() == first.points.tobytes()


def test_by_hand() -> None:
    points = np.array([[0.5, -0.5, 9, 51, 7], [1, 0, 2, 255, 7], [np.nan, 0, 0, 0, 7], [-0.9, -4, 1, 0, 7]], np.float32)
    pose = np.array([[0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]], np.float64)
    cloud = accumulate_sweeps([Sweep(points, pose, age=0.25, own_vehicle=1.0)], 4)
    assert (cloud.count, cloud.dropped) == (3, 0)
    assert cloud.points[[0, 2]].tolist() == [[10, 21, 32, 1, 0.25], [14, np.float32(19.1), 31, 0, 0.25]]
    assert np.isnan(cloud.points[1, :3]).all() and not cloud.points[3].any()
    assert accumulate_sweeps([Sweep(points, pose)], 4).count == 4
    both = accumulate_sweeps([Sweep(points, pose, own_vehicle=1.0), Sweep(points, pose, 0.5)], 5)
    assert both.points[:, 4].tolist() == [0, 0, 0, 0.5, 0.5] and both.dropped == 2


@pytest.mark.parametrize(("rows", "capacity"), [(0, 0), (0, 3), (5, 5), (7, 3), (3, 7), (3, 0)])
def test_padding_copies_values_as_they_are(rows: int, capacity: int) -> None:
    cloud = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    cloud[:1] = [-0.0, np.nan, np.inf, 1e-45, -1]
    ours, theirs = pad_points(cloud, capacity), oracle.pad_points(cloud, capacity)
    assert (ours.count, ours.dropped) == (theirs.count, theirs.dropped)
    assert ours.points.tobytes() == theirs.points.tobytes()


POINTS: NDArray[np.float32] = np.ones((2, 5), np.float32)


@pytest.mark.parametrize(
    "sweep",
    [
        Sweep(POINTS[:, :3], np.eye(4)),
        Sweep(POINTS, np.eye(4), intensity_scale=0.0),
        Sweep(POINTS, np.eye(4), intensity_scale=np.nan),
        Sweep(POINTS, np.eye(4), age=np.inf),
        Sweep(POINTS, np.eye(4), own_vehicle=-1.0),
        Sweep(POINTS, np.eye(4), own_vehicle=np.inf),
        Sweep(POINTS, np.full((4, 4), np.nan)),
        Sweep(POINTS, np.diag([1.0, 1.0, 1.1, 1.0])),
        Sweep(POINTS, np.eye(4) + np.eye(4, k=-3)),
    ],
)
def test_sweeps_that_are_none_are_refused(sweep: Sweep) -> None:
    with pytest.raises(KernelError, match="invalid"):
        accumulate_sweeps([Sweep(POINTS, np.eye(4)), sweep], 8)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="points must be float32, got float64"):
        accumulate_sweeps([Sweep(POINTS.astype(np.float64), np.eye(4))], 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sensor_to_ego must have the shape \(4, 4\)"):
        accumulate_sweeps([Sweep(POINTS, np.eye(3))], 8)
    with pytest.raises(ValueError, match=r"points must have the shape \(any, 5\)"):
        pad_points(POINTS[:, :4], 8)
