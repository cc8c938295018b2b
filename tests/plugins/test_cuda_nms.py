"""nms_cuda against the numpy reference and the CPU kernel, in the emulation and on a GPU."""

import ctypes
from typing import Any

import numpy as np
import pytest
from clouds import same_bits
from cuda_backends import SANITIZED, Backend, Device, nms, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vexkd.plugins.nms import nms as on_the_cpu
from vexkd.plugins.reference.nms import nms as reference

few = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
OVERLAPS = ["circle", "rotated"]
SAME_PLACE = np.array([0.5, 0.5], np.float32)


def random_boxes(rng: np.random.Generator, count: int, spread: float = 6.0) -> NDArray[np.float32]:
    """Crowded boxes: some are copies, some turned by right angles, some without length or width."""
    boxes = rng.normal(0, spread, (count, 9))
    boxes[:, 3:6] = rng.uniform(0.5, 5, (count, 3))
    boxes[:, 6] = rng.uniform(-4, 4, count)
    turned = rng.random(count) < 0.3
    boxes[turned, 6] = rng.integers(-2, 3, turned.sum()) * np.pi / 2
    if count:
        boxes[rng.random(count) < 0.1] = boxes[0]
        boxes[rng.random(count) < 0.05, 3] = rng.choice([0.0, -2.0])
        boxes[rng.random(count) < 0.05, 4] = 0.0
    return boxes.astype(np.float32)


def kept(backend: Backend, *arguments: Any) -> NDArray[np.int32]:
    """Indices that stay; what lies beyond them must be -1."""
    boxes, count = outcome(nms(backend, *arguments))
    assert (boxes[count[0] :] == -1).all()
    return boxes[: count[0]]


def thresholds_for(rng: np.random.Generator, overlap: str, groups: int) -> NDArray[np.float32]:
    """Such that no overlap comes near: the last bit of a cosine decides nothing."""
    limits = rng.uniform(0.5, 4, groups) if overlap == "circle" else rng.uniform(0.1, 0.6, groups)
    return limits.astype(np.float32)


@few
@given(
    st.integers(0, 45), st.sampled_from(OVERLAPS), st.integers(1, 3), st.booleans(), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_agrees_with_the_reference(
    backend: Backend, count: int, overlap: str, group_count: int, broken: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    backend.seed(seed)
    boxes = random_boxes(rng, count)
    scores = np.round(rng.normal(0.4, 0.3, count), 1).astype(np.float32)  # ties, zeros of both signs
    groups = rng.integers(0, group_count, count).astype(np.int32)
    if broken:
        boxes[rng.random((count, 9)) < 0.02] = rng.choice([np.nan, np.inf, -np.inf])
        scores[rng.random(count) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        groups[rng.random(count) < 0.1] = rng.choice([-1, group_count, 2**31 - 1])
    arguments = (boxes, scores, groups, overlap, thresholds_for(rng, overlap, group_count))
    for least in (0.25, -np.inf):
        assert same_bits(kept(backend, *arguments, least), reference(*arguments, least))
    assert kept(backend, *arguments, np.nan).size == 0


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("count", [63, 64, 65, 300, 1030])
def test_agrees_with_the_cpu_beyond_one_block(backend: Backend, overlap: str, count: int) -> None:
    if SANITIZED and count > 300:
        pytest.skip("takes long under sanitizers")
    rng = np.random.default_rng(count)
    boxes, groups = random_boxes(rng, count, 12.0), rng.integers(0, 4, count).astype(np.int32)
    scores = np.round(rng.random(count), 2).astype(np.float32)
    scores[rng.random(count) < 0.1] = np.nan
    arguments = (boxes, scores, groups, overlap, thresholds_for(rng, overlap, 4), 0.05)
    assert same_bits(kept(backend, *arguments), on_the_cpu(*arguments))


def test_thresholds_that_are_none(backend: Backend) -> None:
    """NaN suppresses nothing, a negative IoU everything of the group, a radius of 0 or less nothing."""
    rng = np.random.default_rng(1)
    boxes, groups = random_boxes(rng, 70), rng.integers(0, 2, 70).astype(np.int32)
    scores = rng.random(70).astype(np.float32)
    for overlap in OVERLAPS:
        for limits in ([np.nan, 1.0], [-1.0, 0.5], [0.0, np.inf], [-np.inf, 0.0]):
            arguments = (boxes, scores, groups, overlap, np.array(limits, np.float32), 0.0)
            assert same_bits(kept(backend, *arguments), on_the_cpu(*arguments)), (overlap, limits)
    everything = kept(backend, boxes, scores, groups, "rotated", np.array([-1.0, -1.0], np.float32), 0.0)
    assert len(everything) == 2


def test_all_in_one_place_leave_the_first_of_each_group(backend: Backend) -> None:
    boxes = np.tile(np.array([3, 4, 0, 4, 2, 1.5, 0.3, 0, 0], np.float32), (200, 1))
    groups = (np.arange(200, dtype=np.int32) // 7) % 2
    scores = np.full(200, 0.5, np.float32)
    scores[::2] = -0.0
    for overlap in OVERLAPS:
        best = kept(backend, boxes, scores, groups, overlap, SAME_PLACE, -1.0)
        assert best.tolist() == [1, 7]
    zeros = np.where(np.arange(200) % 2, 0.0, -0.0).astype(np.float32)
    assert kept(backend, boxes, zeros, groups, "circle", SAME_PLACE, 0.0).tolist() == [0, 7]


def test_boxes_without_area_stay(backend: Backend) -> None:
    boxes = np.zeros((130, 9), np.float32)
    scores, groups = np.linspace(1, 0, 130, dtype=np.float32), np.zeros(130, np.int32)
    arguments = (boxes, scores, groups, "rotated", np.array([0.1], np.float32), 0.0)
    assert kept(backend, *arguments).tolist() == list(range(130))
    assert kept(backend, *arguments[:3], "circle", *arguments[4:]).tolist() == [0]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_footprint_that_is_not_finite_drops_its_box(backend: Backend, broken: float) -> None:
    """Each column broken in one box of its own; height, z and velocity do not matter."""
    boxes = np.tile(np.array([0, 0, 0, 4, 2, 1.5, 0.3, 0, 0], np.float32), (10, 1))
    boxes[:, 0] = np.arange(10) * 9
    boxes[np.arange(9), np.arange(9)] = broken
    arguments = (np.linspace(1, 0.5, 10, dtype=np.float32), np.zeros(10, np.int32))
    limits = np.array([0.1], np.float32)
    assert kept(backend, boxes, *arguments, "rotated", limits, 0.0).tolist() == [2, 5, 7, 8, 9]
    assert kept(backend, boxes, *arguments, "circle", limits, 0.0).tolist() == list(range(2, 10))


def test_no_boxes_and_no_groups(backend: Backend) -> None:
    empty = (np.zeros((0, 9), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    assert kept(backend, *empty, "rotated", np.array([0.5], np.float32), 0.0).size == 0
    some = (np.zeros((5, 9), np.float32), np.zeros(5, np.float32), np.zeros(5, np.int32))
    assert kept(backend, *some, "circle", np.zeros(0, np.float32), 0.0).size == 0


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_same_bits_in_any_order_of_threads(backend: Any, overlap: str) -> None:
    rng = np.random.default_rng(3)
    boxes, groups = random_boxes(rng, 400, 8.0), rng.integers(0, 3, 400).astype(np.int32)
    scores = np.round(rng.random(400), 1).astype(np.float32)
    call = nms(backend, boxes, scores, groups, overlap, thresholds_for(rng, overlap, 3), 0.1)
    first = outcome(call)
    for seed in range(1, 101 if isinstance(backend, Device) else 6):
        backend.seed(seed)
        assert all(same_bits(one, other) for one, other in zip(outcome(call), first, strict=True)), f"run {seed}"


def test_the_workspace_query_grows_and_ends(backend: Backend) -> None:
    query, size = backend.library.vexkd_nms_cuda_workspace, ctypes.c_size_t()
    sizes = []
    for count in (0, 1, 64, 65, 500, 65_536):
        assert query(ctypes.c_int32(count), ctypes.byref(size)) == 0
        sizes.append(size.value)
    assert sizes == sorted(sizes) and sizes[0] == 0
    assert query(ctypes.c_int32(65_537), ctypes.byref(size)) == 3
    assert query(ctypes.c_int32(-1), ctypes.byref(size)) == 2
    assert query(ctypes.c_int32(1), None) == 1


@pytest.mark.parametrize(
    ("place", "value", "status"),
    [
        *((place, 0, 1) for place in (0, 1, 2, 5, 8, 9, 10)),
        *((place, 0x1001, 4) for place in (0, 1, 2, 5, 8, 9)),
        *((3, -1, 2), (3, 65_537, 3), (4, 2, 2), (6, -1, 2), (11, 100, 6)),
    ],
)
def test_hostile_arguments_are_refused(backend: Backend, place: int, value: int, status: int) -> None:
    """Addresses are made up: a refused call touches none."""
    made_up = [ctypes.c_void_p(0x10000000 * number) for number in range(1, 8)]
    boxes, scores, groups, thresholds, kept_at, count_at, workspace = made_up
    numbers = [ctypes.c_int32(number) for number in (100, 1, 2)]
    arguments: list[Any] = [boxes, scores, groups, *numbers[:2], thresholds, numbers[2], ctypes.c_float(0.0)]
    arguments += [kept_at, count_at, workspace, ctypes.c_size_t(2**20), None]
    kind = {11: ctypes.c_size_t}.get(place, ctypes.c_int32 if place in (3, 4, 6) else ctypes.c_void_p)
    arguments[place] = kind(value)
    assert backend.library.vexkd_nms_cuda(*arguments) == status
