"""Hostile arguments to the C ABI: a status each time, never a crash, and nothing written."""

import ctypes
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vexkd.plugins.library import (
    F16,
    PACKED8,
    BevPoolShape,
    FrustumShape,
    Grid,
    ImageShape,
    SweepRecord,
    kernels,
    make_grid,
)

OK, NULL, INVALID, TOO_LARGE, MISALIGNED, OVERLAP, SMALL = range(7)
HUGE = 2**31 - 1
GRID = make_grid((-4, -3, -2, 4, 3, 2), (0.5, 0.25))


class Arguments:
    """Valid arguments of one entry point, by name, with the memory behind them."""

    def __init__(self, function: str, **values: Any) -> None:
        self.function = function
        self.values = values

    def call(self, **changes: Any) -> int:
        """Status of a call with some arguments changed."""
        assert not set(changes) - set(self.values)
        changed = {**self.values, **changes}
        return getattr(kernels(), self.function)(*(_raw(value) for value in changed.values()))


def _raw(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


def f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def i32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int32)


def workspace() -> np.ndarray:
    """1 MiB on a boundary of 256 bytes."""
    memory = np.zeros(2**20 + 256, np.uint8)
    return memory[-memory.ctypes.data % 256 :][: 2**20]


def voxelize() -> Arguments:
    return Arguments(
        "vexkd_voxelize_cpu",
        points=f32(8, 5), counts=i32(2), batch=2, capacity=4, grid=GRID, dtype=0, features=f32(8, 11), cells=i32(8),
        threads=2, workspace=workspace(), size=2**20,
    )  # fmt: skip


def pillar_max() -> Arguments:
    return Arguments(
        "vexkd_pillar_max_cpu",
        features=f32(8, 3), dtype=0, cells=i32(8), points=8, channels=3, batch=1, height=4, width=5,
        bev=f32(1, 3, 4, 5), argmax=i32(1, 3, 4, 5), threads=2, workspace=workspace(), size=2**20,
    )  # fmt: skip


def pillar_max_backward() -> Arguments:
    return Arguments(
        "vexkd_pillar_max_backward_cpu",
        grad_bev=f32(1, 3, 4, 5), dtype=0, argmax=i32(1, 3, 4, 5), points=8, channels=3, batch=1, height=4, width=5,
        grad_features=f32(8, 3), threads=2,
    )  # fmt: skip


def bev_pool() -> Arguments:
    return Arguments(
        "vexkd_bev_pool_cpu",
        depth=f32(2, 3, 4, 5), context=f32(2, 6, 4, 5), dtype=0, points=i32(120), starts=i32(13),
        shape=BevPoolShape(2, 3, 4, 5, 6, 120, 1, 3, 4), bev=f32(1, 6, 3, 4), threads=2, workspace=workspace(),
        size=2**20,
    )  # fmt: skip


def bev_pool_backward() -> Arguments:
    return Arguments(
        "vexkd_bev_pool_backward_cpu",
        grad_bev=f32(1, 6, 3, 4), depth=f32(2, 3, 4, 5), context=f32(2, 6, 4, 5), dtype=0, points=i32(120),
        starts=i32(13), shape=BevPoolShape(2, 3, 4, 5, 6, 120, 1, 3, 4), grad_depth=f32(2, 3, 4, 5),
        grad_context=f32(2, 6, 4, 5), threads=2, workspace=workspace(), size=2**20,
    )  # fmt: skip


def frustum_index() -> Arguments:
    return Arguments(
        "vexkd_frustum_index_cpu",
        rays=f32(2, 9), origins=f32(2, 3), depths=f32(3), shape=FrustumShape(1, 2, 3, 4, 5, 8), grid=GRID,
        points=i32(120), starts=i32(24 * 16 + 1), threads=2, workspace=workspace(), size=2**20,
    )  # fmt: skip


def nms() -> Arguments:
    return Arguments(
        "vexkd_nms_cpu",
        boxes=f32(4, 9), scores=f32(4), groups=i32(4), count=4, overlap=1, thresholds=f32(2), group_count=2,
        score_threshold=0.0, kept=i32(4), kept_count=i32(1), workspace=workspace(), size=2**20,
    )  # fmt: skip


def rotated_iou() -> Arguments:
    return Arguments(
        "vexkd_rotated_iou_cpu",
        first=f32(4, 9),
        first_count=4,
        second=f32(3, 9),
        second_count=3,
        iou=f32(4, 3),
        threads=2,
    )


def prepare_images() -> Arguments:
    return Arguments(
        "vexkd_prepare_images_cpu",
        images=np.zeros((2, 6, 8, 3), np.uint8), shape=ImageShape(2, 6, 8, 3, 4), mean=f32(3),
        deviation=np.ones(3, np.float32), dtype=0, layout=0, prepared=f32(2, 3, 3, 4), threads=2,
    )  # fmt: skip


def image_transform() -> Arguments:
    return Arguments(
        "vexkd_image_transform",
        raw_size=np.array([9, 16], np.int32),
        image_size=np.array([4, 8], np.int32),
        transform=np.zeros((3, 3)),
    )


def camera_rays() -> Arguments:
    return Arguments(
        "vexkd_camera_rays",
        intrinsics=np.stack([np.eye(3)] * 2), camera_to_ego=np.stack([np.eye(4)] * 2),
        transforms=np.stack([np.eye(3)] * 2), views=2, rays=f32(2, 3, 3), origins=f32(2, 3),
    )  # fmt: skip


def accumulate_sweeps() -> Arguments:
    return Arguments(
        "vexkd_accumulate_sweeps_cpu",
        sweeps=SweepRecord(SWEPT.ctypes.data, 6, 4, 255, 0.5, POSE.ctypes.data, 1.0), sweep_count=1, capacity=8,
        points=f32(8, 5), count=i32(1), dropped=i32(1), threads=2,
    )  # fmt: skip


def pad_points() -> Arguments:
    return Arguments(
        "vexkd_pad_points",
        cloud=f32(6, 5), point_count=6, capacity=8, points=f32(8, 5), count=i32(1), dropped=i32(1),
    )  # fmt: skip


def select_boxes() -> Arguments:
    return Arguments(
        "vexkd_select_boxes_cpu",
        boxes=f32(4, 9), scores=f32(4), labels=i32(4), count=4, score_threshold=0.0, rules=i32(2, 4),
        class_count=2, kept=i32(4), kept_count=i32(1), workspace=workspace(), size=2**20,
    )  # fmt: skip


SWEPT, POSE = f32(6, 4), np.eye(4)
ALL = (
    voxelize,
    pillar_max,
    pillar_max_backward,
    bev_pool,
    bev_pool_backward,
    frustum_index,
    nms,
    rotated_iou,
    prepare_images,
    image_transform,
    camera_rays,
    accumulate_sweeps,
    pad_points,
    select_boxes,
)
OPTIONAL = ("workspace", "argmax", "grad_depth", "grad_context")


OUTPUTS = {
    voxelize: ("features", "cells"),
    pillar_max: ("bev", "argmax"),
    pillar_max_backward: ("grad_features",),
    bev_pool: ("bev",),
    bev_pool_backward: ("grad_depth", "grad_context"),
    frustum_index: ("points", "starts"),
    nms: ("kept", "kept_count"),
    rotated_iou: ("iou",),
    prepare_images: ("prepared",),
    image_transform: ("transform",),
    camera_rays: ("rays", "origins"),
    accumulate_sweeps: ("points", "count", "dropped"),
    pad_points: ("points", "count", "dropped"),
    select_boxes: ("kept", "kept_count"),
}
NO_ZERO = [("views", make) for make in (bev_pool, bev_pool_backward, frustum_index)]
"""Sizes that may be 0 in one shape and not in another."""


@pytest.mark.parametrize("make", ALL)
def test_valid_arguments_succeed(make: Callable[[], Arguments]) -> None:
    assert make().call() == OK
    if "threads" in make().values:
        assert make().call(threads=-5) == OK and make().call(threads=HUGE) == OK
    if "workspace" in make().values:
        assert make().call(workspace=None, size=0) == OK


@pytest.mark.parametrize("make", ALL)
def test_null_pointers(make: Callable[[], Arguments]) -> None:
    for name, value in make().values.items():
        if isinstance(value, np.ndarray | ctypes.Structure):
            optional = name in OPTIONAL and not (make is pillar_max_backward and name == "argmax")
            expected = NULL if name == "workspace" or not optional else OK
            assert make().call(**{name: None}) == expected, name


@pytest.mark.parametrize("make", ALL)
def test_misaligned_pointers(make: Callable[[], Arguments]) -> None:
    for name, value in make().values.items():
        if isinstance(value, np.ndarray) and value.itemsize > 1 and name != "workspace":
            assert make().call(**{name: value.ctypes.data + 1}) == MISALIGNED, name
    if "workspace" in make().values:
        for step in (1, 16, 63):
            assert make().call(workspace=make().values["workspace"].ctypes.data + step, size=2**20 - step) == OK


@pytest.mark.parametrize("make", ALL)
def test_overlapping_buffers(make: Callable[[], Arguments]) -> None:
    for output in OUTPUTS[make]:
        for name, value in make().values.items():
            if not isinstance(value, np.ndarray) or name == output:
                continue
            arguments = make()
            shared = arguments.values[name].ctypes.data
            assert arguments.call(**{output: shared}) == OVERLAP, (output, name)
            step = arguments.values[output].itemsize
            if value.nbytes > step:
                assert arguments.call(**{output: shared + step}) == OVERLAP, (output, name)


@pytest.mark.parametrize("make", ALL)
def test_pointers_at_the_end_of_the_address_space(make: Callable[[], Arguments]) -> None:
    for name, value in make().values.items():
        if isinstance(value, np.ndarray) and value.nbytes > 8 and name != "workspace":
            assert make().call(**{name: 2**64 - 8}) == TOO_LARGE, name


@pytest.mark.parametrize("make", ALL)
def test_negative_and_zero_sizes(make: Callable[[], Arguments]) -> None:
    counts = (
        "count",
        "group_count",
        "first_count",
        "second_count",
        "sweep_count",
        "point_count",
        "class_count",
        "views",
    )
    for name in ("batch", "capacity", "points", "channels", "height", "width", *counts):
        if isinstance(make().values.get(name), int):
            assert make().call(**{name: -1}) == INVALID, name
            assert make().call(**{name: -(2**31)}) == INVALID, name
            assert make().call(**{name: 0}) == (INVALID if name in ("batch", "height", "width") else OK), name


@pytest.mark.parametrize(
    "make", [voxelize, pillar_max, pillar_max_backward, bev_pool, bev_pool_backward, prepare_images]
)
@pytest.mark.parametrize("dtype", [-1, 2, HUGE])
def test_unknown_dtypes(make: Callable[[], Arguments], dtype: int) -> None:
    assert make().call(dtype=dtype) == INVALID


def test_layouts_that_are_none() -> None:
    for layout in (-1, 2, HUGE):
        assert prepare_images().call(layout=layout) == INVALID
    assert prepare_images().call(layout=PACKED8) == INVALID, "packed pixels of float32"


def test_packed_images_are_aligned_to_their_pixels() -> None:
    memory = workspace()
    address = memory.ctypes.data
    packed = {"dtype": F16, "layout": PACKED8}
    assert prepare_images().call(**packed, prepared=address) == OK
    assert not memory[2 * 3 * 4 * 16 :].any()
    for offset in (1, 2, 4, 8):
        assert prepare_images().call(**packed, prepared=address + offset) == MISALIGNED
    assert prepare_images().call(**packed, prepared=2**64 - 2 * 3 * 4 * 8 * 2 + 16) == TOO_LARGE


@pytest.mark.parametrize("overlap", [-1, 2, HUGE])
def test_unknown_overlaps(overlap: int) -> None:
    assert nms().call(overlap=overlap) == INVALID


@pytest.mark.parametrize("make", [bev_pool, bev_pool_backward, frustum_index, prepare_images])
def test_hostile_shapes(make: Callable[[], Arguments]) -> None:
    shape = make().values["shape"]
    for name, _ in shape._fields_:
        for value in (-1, -(2**31), 0, HUGE):
            changed = type(shape).from_buffer_copy(shape)
            setattr(changed, name, value)
            status = make().call(shape=changed)
            if value < 0:
                assert status == INVALID, (name, value)
            elif value == 0:
                assert status == (
                    OK if name in ("channels", "points", "views") and (name, make) not in NO_ZERO else INVALID
                ), (name, value)
            elif name == "stride":
                assert status == INVALID
            else:
                # Too many to index, or more memory than the arrays can lie in; and V must be a multiple of B. A list
                # that is said to be longer than it is harms only if the outputs happen to lie behind it: nothing beyond
                # the last start is read.
                harmless = (OK,) if name == "points" else ()
                assert status in (TOO_LARGE, INVALID, OVERLAP, SMALL, *harmless), (name, value)
                assert status != INVALID or make is frustum_index, (name, value)


@pytest.mark.parametrize("make", [voxelize, frustum_index])
def test_hostile_grids(make: Callable[[], Arguments]) -> None:
    for name, kind in Grid._fields_:
        values = (0, -1, HUGE) if kind is ctypes.c_int32 else (np.nan, np.inf, -np.inf, 1e38, -1e38)
        for value in values:
            changed = Grid.from_buffer_copy(GRID)
            setattr(changed, name, value)
            assert make().call(grid=changed) in (INVALID, TOO_LARGE), (name, value)


@pytest.mark.parametrize("make", ALL)
def test_a_workspace_too_small(make: Callable[[], Arguments]) -> None:
    if "workspace" in make().values:
        assert make().call(size=0) == SMALL
        assert make().call(size=1) == SMALL


@pytest.mark.parametrize("make", ALL)
def test_refused_calls_write_nothing(make: Callable[[], Arguments]) -> None:
    arguments = make()
    for name in OUTPUTS[make]:
        arguments.values[name].fill(7)
    changes = {
        nms: {"overlap": 9},
        rotated_iou: {"first_count": -1},
        frustum_index: {"size": 1},
        image_transform: {"raw_size": i32(2)},
        camera_rays: {"transforms": np.stack([np.eye(3), np.ones((3, 3))])},
        accumulate_sweeps: {"sweeps": SweepRecord(SWEPT.ctypes.data, 6, 3, 255, 0.5, POSE.ctypes.data, 1.0)},
        pad_points: {"point_count": -1},
        select_boxes: {"size": 1},
    }.get(make, {"dtype": 5})
    assert arguments.call(**changes) != OK
    for name in OUTPUTS[make]:
        assert (arguments.values[name] == 7).all()


def test_sizes_whose_bytes_overflow() -> None:
    assert pillar_max().call(points=HUGE, channels=HUGE) in (TOO_LARGE, SMALL, OVERLAP)
    assert pillar_max().call(points=HUGE, channels=HUGE, workspace=None, size=0) in (TOO_LARGE, OVERLAP)
    assert pillar_max().call(batch=HUGE, height=HUGE, width=HUGE) == TOO_LARGE
    assert pillar_max_backward().call(points=HUGE, channels=HUGE) in (TOO_LARGE, OVERLAP)
    assert voxelize().call(batch=HUGE, capacity=HUGE) == TOO_LARGE


def test_hostile_sweeps() -> None:
    memory = f32(8, 5)
    at = memory.ctypes.data
    for expected, changes in (
        (NULL, {"points": None}),
        (NULL, {"sensor_to_ego": None}),
        (OK, {"points": None, "count": 0}),
        (INVALID, {"count": -1}),
        (INVALID, {"stride": -4}),
        (TOO_LARGE, {"count": HUGE, "stride": HUGE}),
        (TOO_LARGE, {"points": 2**64 - 8}),
        (MISALIGNED, {"points": SWEPT.ctypes.data + 1}),
        (MISALIGNED, {"sensor_to_ego": POSE.ctypes.data + 4}),
        (OVERLAP, {"points": at + 4}),
        (OVERLAP, {"sensor_to_ego": at + 8}),
    ):
        arguments = accumulate_sweeps()
        for name, value in changes.items():
            setattr(arguments.values["sweeps"], name, value)
        assert arguments.call(points=memory) == expected, changes
    many = (SweepRecord * 3)(*[SweepRecord(64, 2**30, 4, 1, 0, POSE.ctypes.data, 0)] * 3)
    assert accumulate_sweeps().call(sweeps=many, sweep_count=3, points=None, capacity=0) == TOO_LARGE


@pytest.mark.parametrize("make", [voxelize, pillar_max, bev_pool, bev_pool_backward, frustum_index, nms, select_boxes])
def test_workspace_queries_refuse_and_answer(make: Callable[[], Arguments]) -> None:
    queries = {
        voxelize: ("batch", "capacity", "grid"),
        pillar_max: ("dtype", "points", "channels", "batch", "height", "width"),
        bev_pool: ("dtype", "shape"),
        bev_pool_backward: ("dtype", "shape"),
        frustum_index: ("shape", "grid"),
        nms: ("count",),
        select_boxes: ("count",),
    }
    arguments = make()
    given = [_raw(arguments.values[name]) for name in queries[make]] + ([1] if make is pillar_max else [])
    query = getattr(kernels(), f"{arguments.function}_workspace")
    size = ctypes.c_size_t()
    assert query(*given, ctypes.byref(size)) == OK
    assert 0 < size.value <= 2**20
    assert arguments.call(size=size.value) == OK
    assert arguments.call(size=size.value - 1) == SMALL
    assert query(*given, None) == NULL
    for index, value in enumerate(given):
        if not isinstance(value, int):
            assert query(*given[:index], None, *given[index + 1 :], ctypes.byref(size)) == NULL


def test_every_status_has_a_text() -> None:
    texts = [kernels().vexkd_status_string(status) for status in range(10)]
    assert len(set(texts)) == 10
    assert kernels().vexkd_status_string(-1) == kernels().vexkd_status_string(999) == b"unknown status"


def _child(queue: Any) -> None:
    queue.put(bev_pool().call(threads=2))


def test_a_forked_child_has_a_pool_of_its_own() -> None:
    assert bev_pool().call(threads=2) == OK
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == OK
    child.join(30)
    assert child.exitcode == 0


def test_calls_from_many_threads_at_once() -> None:
    statuses: list[int] = []
    work = [threading.Thread(target=lambda: statuses.append(voxelize().call(threads=3))) for _ in range(8)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(30)
    assert statuses == [OK] * 8
