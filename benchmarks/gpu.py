"""The CUDA kernels on a GPU: achieved time beside the floor, and beside what they replace.

    python -m benchmarks.gpu [--out runs/bench/kernels_gpu.json]

prints and writes this part alone, and needs nothing but torch, numpy, nvcc and the library built with CUDA;
``benchmarks.kernels`` includes it where there is a GPU.

Times are CUDA events around the replay of a graph of ten calls, the median of thirty; what cannot be captured is timed
call by call. Nothing is flushed between calls: what fits in the second-level cache stays there, for all alike.
"""

import argparse
import ctypes
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.baselines import Baselines, HashVoxelizer, IntervalPool, compile_baselines, stream_of
from benchmarks.inputs import IMAGE_SIZE, RAW_SIZE, Sensors, load_sensors
from benchmarks.timing import Row
from vexkd.plugins import library
from vexkd.plugins.files import write_text
from vexkd.plugins.frustum import frustum_index
from vexkd.plugins.images import prepare_images
from vexkd.plugins.library import BevPoolShape, FrustumShape, ImageShape, has_cuda, make_grid
from vexkd.plugins.nms import nms
from vexkd.plugins.pillar_max import pillar_max
from vexkd.plugins.voxelize import voxelize

LIMITS = {128: (51.2, 0.8), 180: (54.0, 0.6), 360: (54.0, 0.3)}
"""Half the extent and the cell's side in metres, by cells per side."""
CASES = ((16, 59, 128, 64), (16, 118, 128, 80), (16, 118, 180, 80), (8, 118, 360, 80))
"""Stride, depth bins, cells per side, channels."""
PILLARS = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), (0.2, 0.2)
CALLS, REPLAYS = 10, 30
ALIGNMENT = 256
"""VEXKD_CUDA_ALIGNMENT."""
Clock = Callable[[Callable[[], Any], bool], float]
"""Microseconds of a function, which may be captured in a graph or not."""
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

Functions = dict[str, Callable[[], Any]]
AUTOGRAD, THROUGH_HOST = "autograd of torch.index_add_", "copies to the host, CPU kernel"
UNCAPTURED = (AUTOGRAD, THROUGH_HOST)
"""Peers that cannot be captured in a graph, or need care; timed call by call."""


def measure(function: Callable[[], Any], captured: bool) -> float:
    """Microseconds of one call, in a captured graph or on its own."""
    for _ in range(3):
        function()
    torch.cuda.synchronize()
    calls, run = 1, function
    if captured:
        graph, calls = torch.cuda.CUDAGraph(), CALLS
        with torch.cuda.graph(graph):
            for _ in range(CALLS):
                function()
        run = graph.replay
    times = []
    for _ in range(REPLAYS + 3):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3 / calls)
    return statistics.median(times[3:])


def copy_bandwidth() -> float:
    """Bytes per second that the GPU reads and writes while it copies 512 MiB."""
    source = torch.ones(2**27, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / measure(lambda: target.copy_(source), True) * 1e6


def address(value: Any) -> Any:
    """An argument as the C ABI takes it."""
    if isinstance(value, Tensor):
        return value.data_ptr()
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


class Kernels:
    """Calls of ``vexkd_<name>_cuda`` on torch's memory, with workspaces kept outside the clock."""

    def __init__(self, device: str, call: Callable[..., None] = library.call) -> None:
        self.device, self.call = device, call

    def prepare(self, name: str, query: tuple[Any, ...] | None, *arguments: Any) -> Callable[[], None]:
        """A function that enqueues the call on the current stream."""
        given = list(map(address, arguments))
        workspace = None
        if query is not None:
            size = ctypes.c_size_t()
            self.call(f"{name}_cuda_workspace", *map(address, query), ctypes.byref(size))
            workspace = torch.empty(size.value + ALIGNMENT, dtype=torch.uint8, device=self.device)
            given += [workspace.data_ptr() + -workspace.data_ptr() % ALIGNMENT, size.value]
        held = (arguments, query, workspace)
        return lambda: self.call(f"{name}_cuda", *given, stream_of(held[0]))


class GpuBench:
    """Cases of all kernels; every result is compared with the CPU kernel's before it is timed."""

    def __init__(
        self, sensors: Sensors, kernels: Kernels, baselines: Baselines, clock: Clock, bandwidth: float
    ) -> None:
        self.sensors, self.kernels, self.baselines = sensors, kernels, baselines
        self.device, self.clock, self.bandwidth = kernels.device, clock, bandwidth

    def rows(self, kernel: str, case: str, functions: Functions, moved: int) -> Iterator[Row]:
        """A row per peer; ``functions['ours']`` is the kernel."""
        times = {name: self.clock(function, name not in UNCAPTURED) for name, function in functions.items()}
        ours, floor = times.pop("ours"), moved / self.bandwidth * 1e6
        for peer, took in times.items():
            yield Row(kernel, case, "cuda", 0, ours, peer, took, took / ours, floor)

    def on_device(self, array: Any, dtype: torch.dtype | None = None) -> Tensor:
        """A copy."""
        return torch.as_tensor(array).to(self.device, dtype)

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Memory for a result."""
        return torch.empty(shape, dtype=dtype, device=self.device)

    def frustum(self, stride: int, bins: int, side: int, channels: int) -> Iterator[Row]:
        """frustum_index, then BevPool forward and backward on its result."""
        half, cell = LIMITS[side]
        limits, cells = (-half, -half, -5.0, half, half, 3.0), (cell, cell)
        feature = (IMAGE_SIZE[0] // stride, IMAGE_SIZE[1] // stride)
        depths = np.linspace(1, 60, bins, endpoint=False, dtype=np.float32)
        rays, origins = self.sensors.rays()
        points, starts = frustum_index(rays, origins, depths, feature, stride, limits, cells)
        views = len(rays)
        case = f"{points.size} points, {int(starts[-1])} kept -> {side}x{side}"

        shape, grid = FrustumShape(1, views, bins, *feature, stride), make_grid(limits, cells)
        inputs = [*(self.on_device(array) for array in (rays, origins)), depths.ctypes.data]
        outputs = [self.empty(array.size, dtype=torch.int32) for array in (points, starts)]
        ours = self.kernels.prepare("frustum_index", (shape, grid), *inputs, shape, grid, *outputs)
        ours()
        for output, expected in zip(outputs, (points, starts), strict=True):
            assert np.array_equal(output.cpu().numpy(), expected), "frustum_index differs from the CPU"
        keys = torch.randint(0, side * side, (points.size,), device=self.device, dtype=torch.int32)
        functions: Functions = {"ours": ours, "torch.sort of as many keys": lambda: torch.sort(keys, stable=True)}
        yield from self.rows("frustum_index", case, functions, points.nbytes + starts.nbytes)
        yield from self.bev_pool(outputs, (views, bins, *feature), side, channels, case)

    def bev_pool(
        self, index: list[Tensor], depth_shape: tuple[int, ...], side: int, channels: int, case: str
    ) -> Iterator[Row]:
        """Forward against the interval scheme and index_add_, backward against index_add_'s, FP16 and FP32."""
        rng = np.random.default_rng(0)
        points, starts = index
        kept, size = int(starts[-1]), (channels, side, side)
        for dtype, code in ((torch.float16, 1), (torch.float32, 0)):
            depth = self.on_device(rng.random(depth_shape, np.float32), dtype)
            context = self.on_device(
                rng.standard_normal((depth_shape[0], channels, *depth_shape[2:]), np.float32), dtype
            )
            bev = self.empty(1, *size, dtype=dtype)
            shape = BevPoolShape(*depth_shape, channels, len(points), 1, side, side)
            ours = self.kernels.prepare(
                "bev_pool", (code, shape), depth, context, code, points, starts, shape, bev, 0, 0
            )  # fmt: skip
            ours()
            intervals = IntervalPool(self.baselines, depth, context, points, starts, side * side)
            peer = peers.PoolPeer(depth, context, points, starts, side, side)
            expected = intervals().t().reshape(1, *size)
            tolerance = 1e-3 if dtype == torch.float32 else 2e-2
            torch.testing.assert_close(bev.float(), expected, rtol=tolerance, atol=tolerance)
            label = f"{case} x {channels} {'f16' if code else 'f32'}"
            functions: Functions = {
                "ours": ours,
                "interval per channel (bev_pool_v2), f32": intervals,
                "torch.index_add_": peer.index_add,
            }
            width = depth.element_size()
            moved = kept * (4 + width) + starts.nbytes + (context.numel() + bev.numel()) * width
            yield from self.rows("bev_pool", label, functions, moved)

            gradients = torch.empty_like(depth), torch.empty_like(context)
            ones = torch.ones_like(bev)
            inputs = (ones, depth, context, code, points, starts, shape)
            backward = self.kernels.prepare("bev_pool_backward", (code, shape), *inputs, *gradients)
            leaves = [tensor.clone().requires_grad_() for tensor in (depth, context)]
            formulated = peers.PoolPeer(*leaves, points, starts, side, side)
            result = formulated.index_add()

            def autograd(result: Tensor = result, leaves: list[Tensor] = leaves, ones: Tensor = ones) -> None:
                torch.autograd.grad(result, leaves, ones, retain_graph=True)

            functions = {"ours": backward, AUTOGRAD: autograd}
            moved += (depth.numel() + context.numel() + kept) * width
            yield from self.rows("bev_pool_backward", label, functions, moved)

    def points(self, case: str, cloud: np.ndarray) -> Iterator[Row]:
        """Voxelize and PillarMax of a cloud, 64 channels."""
        limits, cell = PILLARS
        n = len(cloud)
        counts = np.array([n], np.int32)
        features, cells = voxelize(cloud, counts, limits, cell)
        points, grid = self.on_device(cloud), make_grid(limits, cell)
        hashed = HashVoxelizer(self.baselines, points, limits, cell)
        device_cells = self.empty(n, dtype=torch.int32)
        for dtype, code in ((torch.float32, 0), (torch.float16, 1)):
            out = self.empty(n, 11, dtype=dtype)
            inputs = (points, self.on_device(counts), 1, n, grid, code, out, device_cells)
            ours = self.kernels.prepare("voxelize", (1, n, grid), *inputs)
            ours()
            assert np.array_equal(out.cpu().numpy(), features.astype(out.cpu().numpy().dtype)), "voxelize differs"
            hashed()
            # It truncates and compares otherwise, so that a point on the grid's edge may open a voxel more.
            assert abs(int(hashed.counts[-1]) - len(np.unique(cells[cells >= 0]))) < 8, "the hash table differs"
            moved = points.nbytes + out.nbytes + device_cells.nbytes
            label = f"{case} -> {grid.height}x{grid.width} {'f16' if code else 'f32'}"
            functions: Functions = {"ours": ours, "hash table with atomics, f32": hashed}
            yield from self.rows("voxelize", label, functions, moved)

            learned = torch.randn(n, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
            expected = pillar_max(learned.numpy(), cells, 1, grid.height, grid.width)
            bev = self.empty(1, 64, grid.height, grid.width, dtype=dtype)
            rows = learned.to(self.device)
            sizes = (n, 64, 1, grid.height, grid.width)
            ours = self.kernels.prepare(
                "pillar_max", (code, *sizes, 0), rows, code, device_cells, *sizes, bev, None, 0
            )  # fmt: skip
            ours()
            assert np.array_equal(bev.cpu().numpy(), expected), "pillar_max differs from the CPU"
            inside = device_cells >= 0
            kept, places = rows[inside], device_cells[inside].long()[:, None].expand(-1, 64)
            table = torch.empty(grid.height * grid.width, 64, dtype=dtype, device=self.device)

            def scatter(kept: Tensor = kept, places: Tensor = places, table: Tensor = table) -> Tensor:
                table.zero_().scatter_reduce_(0, places, kept, "amax", include_self=False)
                return table.t().contiguous()

            functions = {"ours": ours, "torch scatter_reduce_": scatter}
            moved = kept.nbytes + device_cells.nbytes + bev.nbytes
            yield from self.rows("pillar_max", f"{label} x 64", functions, moved)

    def nms(self, count: int) -> Iterator[Row]:
        """A head's boxes: ten classes, each object found twice."""
        rng = np.random.default_rng(0)
        boxes = rng.uniform(-50, 50, (count, 9)).astype(np.float32)
        boxes[:, 3:6] = (4, 2, 1.5)
        boxes[1::2] = boxes[::2]
        scores = rng.random(count).astype(np.float32)
        groups = np.repeat(np.arange(10, dtype=np.int32), count // 10)
        arrays = [self.on_device(array) for array in (boxes, scores, groups)]
        for overlap, code, threshold in (("circle", 0, 2.0), ("rotated", 1, 0.2)):
            thresholds = np.full(10, threshold, np.float32)
            kept, kept_count = self.empty(count, dtype=torch.int32), self.empty(1, dtype=torch.int32)
            inputs = (*arrays, count, code, self.on_device(thresholds), 10, 0.0, kept, kept_count)
            ours = self.kernels.prepare("nms", (count,), *inputs)
            ours()
            expected = nms(boxes, scores, groups, overlap, thresholds, 0.0)  # type: ignore[arg-type]
            assert kept[: int(kept_count)].tolist() == expected.tolist(), "nms differs from the CPU"

            def through_host(overlap: Any = overlap, thresholds: np.ndarray = thresholds) -> None:
                nms(*(array.cpu().numpy() for array in arrays), overlap, thresholds, 0.0)  # type: ignore[call-arg]

            functions: Functions = {"ours": ours, THROUGH_HOST: through_host}
            yield from self.rows(f"nms {overlap}", f"{count} boxes, 10 classes", functions, boxes.nbytes)

    def prepare_images(self, views: int) -> Iterator[Row]:
        """Cameras of 900x1600 pixels."""
        images = np.random.default_rng(0).integers(0, 256, (views, *RAW_SIZE, 3), dtype=np.uint8)
        pixels = self.on_device(images)
        shape = ImageShape(*images.shape[:3], *IMAGE_SIZE)
        mean, deviation = (np.array(values, np.float32) for values in (MEAN, DEVIATION))
        constants = [self.on_device(values).view(1, 3, 1, 1) for values in (mean, deviation)]
        for dtype, code in ((torch.float16, 1), (torch.float32, 0)):
            out = self.empty(views, 3, *IMAGE_SIZE, dtype=dtype)
            inputs = (pixels, shape, mean.ctypes.data, deviation.ctypes.data, code, library.PLANAR, out)
            ours = self.kernels.prepare("prepare_images", None, *inputs)
            ours()
            expected = prepare_images(images, IMAGE_SIZE, MEAN, DEVIATION, out.cpu().numpy().dtype.type)
            assert np.array_equal(out.cpu().numpy(), expected), "prepare_images differs from the CPU"
            functions: Functions = {
                "ours": ours,
                "torch interpolate": lambda: peers.resize_crop_normalise(pixels, IMAGE_SIZE, *constants),
            }
            # Two of every 2.3 raw rows are read.
            moved = int(images.nbytes * 0.88) + out.nbytes
            label = f"{views} x 900x1600 -> 256x704 {'f16' if code else 'f32'}"
            yield from self.rows("prepare_images", label, functions, moved)

    def all_rows(self) -> Iterator[Row]:
        """Every case."""
        for case in CASES:
            yield from self.frustum(*case)
        for case, cloud in (("keyframe", self.sensors.cloud), ("300k points", self.sensors.many_points(300_000))):
            yield from self.points(case, np.ascontiguousarray(cloud))
        for count in (500, 2000):
            yield from self.nms(count)
        yield from self.prepare_images(6)


def gpu_rows(sensors: Sensors) -> tuple[list[Row], str]:
    """All rows, and a line on the GPU they were measured on; no rows where there is none, and why."""
    if not torch.cuda.is_available():
        return [], "no GPU: the CUDA kernels were not measured"
    if not has_cuda():
        return (
            [],
            "the kernels' library was built without CUDA: the CUDA kernels were not measured; make native CUDA=ON",
        )
    major, minor = torch.cuda.get_device_capability()
    bandwidth = copy_bandwidth()
    with tempfile.TemporaryDirectory() as folder:
        try:
            baselines = Baselines(compile_baselines(Path(folder), (f"{major}{minor}",)))
        except RuntimeError as error:
            return [], f"the baselines do not compile, so the CUDA kernels were not measured: {error}"
        rows = list(GpuBench(sensors, Kernels("cuda"), baselines, measure, bandwidth).all_rows())
    return rows, f"{torch.cuda.get_device_name()}; copy {bandwidth / 1e9:.0f} GB/s"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/kernels_gpu.json"))
    arguments = parser.parse_args()
    sensors = load_sensors()
    rows, said = gpu_rows(sensors)
    print(f"{said}; {sensors.source}" if rows else said)
    if not rows:
        return
    for row in rows:
        figures = f"{row.ours_us:9.1f} us, floor {row.floor_us:7.1f}, {row.peer_us:10.1f} ({row.ratio:5.1f}x)"
        print(f"{row.kernel:18} {row.case:60} {figures} {row.peer}")
    document = {"device": said, "input": sensors.source, "rows": [asdict(row) for row in rows]}
    write_text(arguments.out, json.dumps(document, indent=2) + "\n")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
