"""Threads that a host lends, and what the library's own are."""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from clouds import random_frustum
from test_frustum import rays_of
from test_points import random_sweep

from vexkd.plugins.bev_pool import bev_pool, bev_pool_backward
from vexkd.plugins.frustum import frustum_index
from vexkd.plugins.images import prepare_images
from vexkd.plugins.library import kernels
from vexkd.plugins.nms import rotated_iou
from vexkd.plugins.pillar_max import pillar_max, pillar_max_backward, pillar_max_with_argmax
from vexkd.plugins.points import accumulate_sweeps
from vexkd.plugins.voxelize import voxelize

OK, INVALID = 0, 2
TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, TASK, ctypes.c_void_p, ctypes.c_int64)
GRID = ((-8.0, -4.0, -3.0, 8.0, 4.0, 3.0), (0.25, 0.5))


class Executor(ctypes.Structure):
    """vexkd_executor of executor.h."""

    _fields_ = (("struct_size", ctypes.c_size_t), ("threads", ctypes.c_int32), ("run", RUN), ("user", ctypes.c_void_p))


class Host:
    """Runs tasks on threads of Python's, the last one first."""

    def __init__(self, threads: int) -> None:
        self.jobs: list[int] = []
        self.users: set[int | None] = set()
        self.idents: set[int] = set()
        self.pool = ThreadPoolExecutor(threads)
        self.record = Executor(ctypes.sizeof(Executor), threads, RUN(self.run), 0x1234)

    def run(self, user: int | None, task: Callable[[int, int], None], context: int, tasks: int) -> None:
        """``run`` of executor.h."""
        self.jobs.append(tasks)
        self.users.add(user)
        list(self.pool.map(lambda index: self._one(task, context, index), reversed(range(tasks))))

    def _one(self, task: Callable[[int, int], None], context: int, index: int) -> None:
        self.idents.add(threading.get_ident())
        task(context, index)


def set_executor(record: Executor | None) -> int:
    return int(kernels().vexkd_set_executor(None if record is None else ctypes.byref(record)))


@pytest.fixture
def host() -> Iterator[Host]:
    lent = Host(3)
    assert set_executor(lent.record) == OK
    yield lent
    assert set_executor(None) == OK
    lent.pool.shutdown()


def points() -> Any:
    rng = np.random.default_rng(0)
    cloud = (rng.normal(0, 3, (40_000, 5))).astype(np.float32)
    return cloud, np.array([20_000, 15_000], np.int32)


def features() -> Any:
    rng = np.random.default_rng(1)
    return rng.normal(size=(5000, 20)).astype(np.float32), rng.integers(-1, 2048, 5000).astype(np.int32)


FRUSTUM = random_frustum(np.random.default_rng(3), 3, (9, 8, 44), 40, (1, 20, 20))
GRADIENTS = (
    np.random.default_rng(2).normal(size=(1, 20, 32, 64)).astype(np.float32),
    pillar_max_with_argmax(*features(), 1, 32, 64, 1)[1],
)
BOXES = np.random.default_rng(4).normal(0, 3, (40, 9)).astype(np.float32)
IMAGES = np.random.default_rng(5).integers(0, 256, (2, 60, 80, 3), np.uint8)
SWEEPS = [random_sweep(np.random.default_rng(6), 30_000, broken=0.0)]
KERNELS: dict[str, Callable[[], Any]] = {
    "voxelize": lambda: voxelize(*points(), *GRID),
    "pillar_max": lambda: pillar_max(*features(), 1, 32, 64),
    "pillar_max_backward": lambda: pillar_max_backward(*GRADIENTS, 5000),
    "bev_pool": lambda: bev_pool(*FRUSTUM.inputs),
    "bev_pool_backward": lambda: bev_pool_backward(np.ones((1, 40, 20, 20), np.float32), *FRUSTUM.inputs[:4]),
    "frustum_index": lambda: frustum_index(*rays_of(3), np.arange(1, 9, 0.25, np.float32), (8, 11), 2, *GRID),
    "rotated_iou": lambda: rotated_iou(BOXES, BOXES),
    "prepare_images": lambda: prepare_images(IMAGES, (40, 64), (1, 2, 3), (4, 5, 6)),
    "accumulate_sweeps": lambda: accumulate_sweeps(SWEEPS, 40_000).points,
}


def bits(result: Any) -> list[bytes]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part.tobytes() for part in parts if part is not None]


def test_the_struct_is_that_of_the_header() -> None:
    assert kernels().vexkd_struct_size(b"vexkd_executor") == ctypes.sizeof(Executor)


@pytest.mark.parametrize("name", KERNELS)
def test_the_same_bits_as_with_the_librarys_own_threads(name: str, host: Host) -> None:
    lent = bits(KERNELS[name]())
    assert host.jobs and min(host.jobs) > 1 and host.users == {0x1234}
    assert threading.get_ident() not in host.idents
    jobs = len(host.jobs)
    assert set_executor(None) == OK
    assert bits(KERNELS[name]()) == lent
    assert len(host.jobs) == jobs


def test_one_thread_needs_no_executor(host: Host) -> None:
    accumulate_sweeps(SWEEPS, 40_000, threads=1)
    assert not host.jobs


def test_callers_on_several_threads_share_it(host: Host) -> None:
    expected = bits(accumulate_sweeps(SWEEPS, 40_000, threads=1).points)
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(lambda _: bits(accumulate_sweeps(SWEEPS, 40_000).points), range(8)))
    assert results == [expected] * 8
    assert len(host.jobs) == 16


def test_structs_that_are_none_are_refused_and_change_nothing(host: Host) -> None:
    for changes in ({"struct_size": 0}, {"struct_size": 999}, {"threads": 0}, {"threads": -1}, {"run": RUN()}):
        wrong = Executor.from_buffer_copy(host.record)
        for name, value in changes.items():
            setattr(wrong, name, value)
        assert set_executor(wrong) == INVALID, changes
    rotated_iou(BOXES, BOXES)
    assert len(host.jobs) == 1


OWN_THREADS = """
import os, numpy as np
from vexkd.plugins.library import kernels
from vexkd.plugins.nms import rotated_iou
kernels()
allowed = os.sched_getaffinity(0)
os.sched_setaffinity(0, {min(allowed)})
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
before = set(os.listdir("/proc/self/task"))
rotated_iou(np.ones((64, 9), np.float32), np.ones((64, 9), np.float32), threads=4)
started = set(os.listdir("/proc/self/task")) - before
for thread in map(int, started):
    with open(f"/proc/self/task/{thread}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    same = os.sched_getaffinity(thread) == allowed and os.sched_getscheduler(thread) == os.SCHED_OTHER
    # All signals but those two that cannot be blocked, and glibc's own two.
    blocked = int(status["SigBlk"], 16)
    print("as the process" if same and blocked | 0x1_8004_0100 == 2**64 - 1 else (thread, status))
    assert os.sched_getaffinity(0) == {min(allowed)} and os.sched_getscheduler(0) == os.SCHED_BATCH
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_own_threads_are_neither_pinned_nor_of_the_callers_class() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU: a pinned thread is not told from another")
    ran = subprocess.run([sys.executable, "-c", OWN_THREADS], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["as the process"] * 3
