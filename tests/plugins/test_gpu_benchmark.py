"""The GPU half of the kernels' benchmark, its clock left out: its calls and its baselines, run by the emulation."""

import ctypes
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cuda_backends import load_emulate

from benchmarks.baselines import SOURCE, Baselines, compile_baselines
from benchmarks.gpu import GpuBench, Kernels, gpu_rows
from benchmarks.inputs import Sensors, load_sensors
from benchmarks.timing import Row


def once(function: Callable[[], Any], captured: bool) -> float:
    """In the clock's place: run it, and say a microsecond."""
    function()
    return 1.0


@pytest.fixture(scope="module")
def sensors() -> Sensors:
    return load_sensors()


@pytest.fixture(scope="module")
def bench(sensors: Sensors, emulated_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuBench]:
    kernels = ctypes.CDLL(str(emulated_library))

    def call(name: str, *arguments: Any) -> None:
        # 64 bits serve pointers, sizes and, by their lower half, int32.
        kinds = {int: ctypes.c_int64, float: ctypes.c_float, type(None): ctypes.c_void_p}
        given = [kinds.get(type(value), lambda same: same)(value) for value in arguments]
        assert getattr(kernels, f"vexkd_{name}")(*given) == 0, name

    library = load_emulate().build_from(tmp_path_factory.mktemp("baselines"), [SOURCE])
    yield GpuBench(sensors, Kernels("cpu", call), Baselines(library), once, 1e9)


def complete(rows: list[Row], kernels: set[str]) -> None:
    """Every kernel has rows, each with a peer and a floor."""
    assert {row.kernel for row in rows} == kernels
    assert all(row.peer and row.floor_us > 0 and row.ours_us == row.peer_us == 1 for row in rows)


def test_every_case_of_the_frustum_compares_what_it_times(bench: GpuBench) -> None:
    complete(list(bench.frustum(16, 3, 128, 64)), {"frustum_index", "bev_pool", "bev_pool_backward"})


def test_every_case_of_a_cloud_compares_what_it_times(bench: GpuBench, sensors: Sensors) -> None:
    complete(list(bench.points("some", np.ascontiguousarray(sensors.cloud[::40]))), {"voxelize", "pillar_max"})


def test_every_case_of_boxes_and_images_compares_what_it_times(bench: GpuBench) -> None:
    complete(list(bench.nms(100)), {"nms circle", "nms rotated"})
    complete(list(bench.prepare_images(1)), {"prepare_images"})


def test_the_hash_table_counts_every_pillar(bench: GpuBench, sensors: Sensors) -> None:
    from benchmarks.baselines import HashVoxelizer
    from benchmarks.gpu import PILLARS
    from vexkd.plugins.voxelize import voxelize

    cloud = np.ascontiguousarray(sensors.cloud[::20])
    hashed = HashVoxelizer(bench.baselines, torch.from_numpy(cloud), *PILLARS)
    hashed()
    cells = voxelize(cloud, np.array([len(cloud)], np.int32), *PILLARS)[1]
    kept, counts = np.unique(cells[cells >= 0], return_counts=True)
    used = int(hashed.counts[-1])
    order = np.argsort(hashed.cells[:used].numpy())
    assert np.array_equal(hashed.cells[:used].numpy()[order], kept)
    assert np.array_equal(hashed.counts[:used].numpy()[order], counts)
    assert np.isfinite(hashed.means[:used].numpy()).all()


def test_without_a_gpu_one_line_says_so(sensors: Sensors) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu_rows(sensors) == ([], "no GPU: the CUDA kernels were not measured")


def test_nvcc_compiles_the_baselines(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not on the PATH")
    library = ctypes.CDLL(str(compile_baselines(tmp_path, ("89", "90"))))
    assert library.baseline_bev_pool and library.baseline_voxelize


@pytest.mark.gpu
def test_the_baselines_on_a_gpu(device: Any, sensors: Sensors, tmp_path: Path) -> None:
    capability = "{}{}".format(*torch.cuda.get_device_capability())
    baselines = Baselines(compile_baselines(tmp_path, (capability,)))
    bench = GpuBench(sensors, Kernels("cuda"), baselines, once, 1e9)
    complete(list(bench.frustum(16, 3, 128, 64)), {"frustum_index", "bev_pool", "bev_pool_backward"})
    complete(list(bench.points("some", sensors.many_points(40_000))), {"voxelize", "pillar_max"})
    complete(list(bench.prepare_images(2)), {"prepare_images"})
    complete(list(bench.nms(500)), {"nms circle", "nms rotated"})
