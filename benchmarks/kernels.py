"""The kernels beside what they replace: one table, and ``runs/bench/kernels.json``.

    python -m benchmarks.kernels [--threads 2] [--seconds 1] [--only bev_pool]

Floor: the bytes an operator must read and write once, at the machine's measured copy bandwidth.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import vexkd.ops  # noqa: F401  registers torch.ops.vexkd
from benchmarks import peers
from benchmarks.gpu import gpu_rows
from benchmarks.inputs import IMAGE_SIZE, RAW_SIZE, Sensors, load_sensors
from benchmarks.timing import Row, copy_bandwidth, rows_of
from vexkd.engines.machine import describe_machine
from vexkd.plugins.files import write_text
from vexkd.plugins.frustum import frustum_index
from vexkd.plugins.images import prepare_images
from vexkd.plugins.nms import nms
from vexkd.plugins.pillar_max import pillar_max
from vexkd.plugins.reference.frustum import frustum_positions
from vexkd.plugins.voxelize import voxelize

PILLARS = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), (0.2, 0.2)
ops = torch.ops.vexkd


class Bench:
    """Cases of all kernels for one number of threads."""

    def __init__(self, threads: int, seconds: float) -> None:
        self.threads, self.seconds = threads, seconds
        self.sensors: Sensors = load_sensors()
        self.bandwidth = copy_bandwidth(threads)

    def rows(self, kernel: str, case: str, functions: dict[str, Any], moved: int) -> list[Row]:
        """Rows of one case that must move ``moved`` bytes."""
        return rows_of(kernel, case, self.threads, functions, moved / self.bandwidth * 1e6, self.seconds)

    def bev_pool(self) -> Iterator[list[Row]]:
        """BEVDet-R50's size: stride 16, 59 bins, 128x128 cells of 0.8 m."""
        limits, cell = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), (0.8, 0.8)
        depths = np.arange(1, 60, 1, np.float32)
        points, starts = frustum_index(*self.sensors.rays(), depths, (16, 44), 16, limits, cell)
        rng = np.random.default_rng(0)
        depth = rng.random((6, 59, 16, 44)).astype(np.float32)
        for channels in (64, 80):
            context = rng.normal(size=(6, channels, 16, 44)).astype(np.float32)
            arrays = {"depth": depth, "context": context, "points": points, "starts": starts}
            tensors = [torch.from_numpy(array) for array in arrays.values()]
            peer = peers.PoolPeer(*tensors, 128, 128)
            bev = ops.bev_pool(*tensors, 1, 128, 128)
            torch.testing.assert_close(peer.index_add(), bev, rtol=1e-4, atol=1e-4)
            functions = {
                "ours": lambda tensors=tensors: ops.bev_pool(*tensors, 1, 128, 128),
                "torch.index_add_": peer.index_add,
                "torch.scatter_add_": peer.scatter_add,
                "ONNX Runtime, function body": peers.onnx_bev_pool(arrays, 128, 128, self.threads),
            }
            # Of the depth only the listed points are needed.
            moved = int(starts[-1]) * 8 + context.nbytes + starts.nbytes + bev.nbytes
            yield self.rows("bev_pool", f"{points.size} points x {channels} -> 128x128", functions, moved)
            yield self.bev_pool_training(tensors, peer, channels, moved)

    def bev_pool_training(self, tensors: list[torch.Tensor], peer: Any, channels: int, moved: int) -> list[Row]:
        """Forward and backward."""
        depth, context = (tensor.clone().requires_grad_() for tensor in tensors[:2])
        peer.depth, peer.context = depth, context
        gradient = torch.ones(1, channels, 128, 128)

        def ours() -> None:
            ops.bev_pool(depth, context, *tensors[2:], 1, 128, 128).backward(gradient)

        functions = {"ours": ours, "torch.index_add_": lambda: peer.index_add().backward(gradient)}
        rows = self.rows("bev_pool + backward", f"{len(tensors[2])} points x {channels}", functions, 3 * moved)
        peer.depth, peer.context = tensors[:2]
        return rows

    def clouds(self) -> dict[str, np.ndarray]:
        """The keyframe, and ten sweeps."""
        return {
            f"keyframe, {len(self.sensors.cloud)} points": np.ascontiguousarray(self.sensors.cloud),
            "300000 points": self.sensors.many_points(300_000),
        }

    def voxelize(self) -> Iterator[list[Row]]:
        """0.2 m pillars on 102.4 m; results in memory that was reserved once, as spconv's are."""
        spconv = peers.spconv_voxelizer(*PILLARS)
        for case, cloud in self.clouds().items():
            torch_pillars = peers.Pillars(*PILLARS, 512, 64, reserved=True)
            points, counts = torch.from_numpy(cloud), np.array([len(cloud)], np.int32)
            out = voxelize(cloud, counts, *PILLARS)
            torch.testing.assert_close(
                torch.from_numpy(out[0][out[1] >= 0]), torch_pillars.voxelize(points)[0], rtol=1e-3, atol=1e-3
            )

            def ours(cloud: Any = cloud, counts: Any = counts, out: Any = out) -> None:
                voxelize(cloud, counts, *PILLARS, threads=self.threads, out=out)

            functions: dict[str, Any] = {"ours": ours}
            if spconv is not None:
                functions["spconv PointToVoxel"] = lambda cloud=cloud: spconv(cloud)
            functions["torch floor, index_add_"] = lambda p=points, peer=torch_pillars: peer.voxelize(p)
            moved = cloud.nbytes + out[0].nbytes + out[1].nbytes
            yield self.rows("voxelize", f"{case} -> 512x512", functions, moved)

    def pillar_max(self) -> Iterator[list[Row]]:
        """Voxelize and PillarMax with 64 channels; the layers between are left out."""
        for case, cloud in self.clouds().items():
            for reserved in (True, False):
                yield self.pillars(f"{case} x 64, {'reserved' if reserved else 'fresh'} memory", cloud, reserved)

    def pillars(self, case: str, cloud: np.ndarray, reserved: bool) -> list[Row]:
        """Both sides with reserved memory, or both, as the operators of a training step, with fresh memory."""
        peer = peers.Pillars(*PILLARS, 512, 64, reserved)
        counts = np.array([len(cloud)], np.int32)
        out = voxelize(cloud, counts, *PILLARS)
        learned = np.random.default_rng(0).normal(size=(len(cloud), 64)).astype(np.float32)
        bev = pillar_max(learned, out[1], 1, 512, 512)
        kept = torch.from_numpy(learned[out[1] >= 0])
        points, counts_tensor, learned_tensor = map(torch.from_numpy, (cloud, counts, learned))
        cells = torch.from_numpy(out[1][out[1] >= 0]).long()
        torch.testing.assert_close(peer.maximum(kept, cells), torch.from_numpy(bev))

        def ours() -> None:
            if reserved:
                voxelize(cloud, counts, *PILLARS, threads=self.threads, out=out)
                pillar_max(learned, out[1], 1, 512, 512, threads=self.threads, out=bev)
            else:
                _, own = ops.voxelize(points, counts_tensor, *PILLARS)
                ops.pillar_max(learned_tensor, own, 1, 512, 512)

        functions = {
            "ours": ours,
            "torch index_add_, scatter_reduce_": lambda: peer.maximum(kept, peer.voxelize(points)[1]),
        }
        moved = cloud.nbytes + out[0].nbytes + 2 * out[1].nbytes + len(kept) * 64 * 4 + bev.nbytes
        return self.rows("voxelize + pillar_max", case, functions, moved)

    def frustum_index(self) -> Iterator[list[Row]]:
        """Stride 16 with 59 bins, and stride 8 with 118 bins on 360x360 cells of 0.3 m."""
        for stride, step, limit, side, size in ((16, 1.0, 51.2, 0.8, 128), (8, 0.5, 54.0, 0.3, 360)):
            limits, cell = (-limit, -limit, -5.0, limit, limit, 3.0), (side, side)
            depths = np.arange(1, 60, step, np.float32)
            feature_size = (256 // stride, 704 // stride)
            geometry = (*self.sensors.rays(), depths, feature_size, stride)
            points, starts = frustum_index(*geometry, limits, cell)
            theirs = peers.frustum_argsort(frustum_positions(*geometry), limits, cell, size, size)
            assert abs(int(starts[-1]) - len(theirs[0])) < 100

            def argsort(geometry: Any = geometry, limits: Any = limits, cell: Any = cell, size: int = size) -> None:
                peers.frustum_argsort(frustum_positions(*geometry), limits, cell, size, size)

            functions = {
                "ours": lambda g=geometry, li=limits, c=cell: frustum_index(*g, li, c, threads=self.threads),
                "numpy argsort": argsort,
            }
            case = f"{points.size} points -> {size}x{size}"
            yield self.rows("frustum_index", case, functions, points.nbytes + starts.nbytes)

    def nms(self) -> Iterator[list[Row]]:
        """The 500 boxes of a detection head, ten classes."""
        rng = np.random.default_rng(0)
        boxes = rng.uniform(-50, 50, (500, 9)).astype(np.float32)
        boxes[:, 3:6] = (4, 2, 1.5)
        boxes[1::2] = boxes[::2]
        scores, labels = rng.random(500).astype(np.float32), np.repeat(np.arange(10, dtype=np.int32), 50)
        radii = np.full(10, 2, np.float32)
        assert nms(boxes, scores, labels, "circle", radii).tolist() == peers.greedy_circles(
            boxes, scores, labels, radii
        )
        functions = {
            "ours": lambda: nms(boxes, scores, labels, "circle", radii),
            "numpy greedy": lambda: peers.greedy_circles(boxes, scores, labels, radii),
        }
        yield self.rows("nms circle", "500 boxes, 10 classes", functions, boxes.nbytes)

    def prepare_images(self) -> Iterator[list[Row]]:
        """Six cameras."""
        images = np.random.default_rng(0).integers(0, 256, (6, *RAW_SIZE, 3), dtype=np.uint8)
        mean, deviation = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
        tensors = [torch.tensor(values).view(1, 3, 1, 1) for values in (mean, deviation)]
        pixels = torch.from_numpy(images)
        prepared = prepare_images(images, IMAGE_SIZE, mean, deviation)
        theirs = peers.resize_crop_normalise(pixels, IMAGE_SIZE, *tensors)
        torch.testing.assert_close(torch.from_numpy(prepared), theirs, rtol=1e-4, atol=1e-4)
        functions = {
            "ours": lambda: prepare_images(images, IMAGE_SIZE, mean, deviation, threads=self.threads),
            "torch interpolate": lambda: peers.resize_crop_normalise(pixels, IMAGE_SIZE, *tensors),
        }
        # Two of every 2.3 raw rows are read.
        moved = int(images.nbytes * 0.88) + prepared.nbytes
        yield self.rows("prepare_images", "6 x 900x1600 -> 256x704 f32", functions, moved)


def show(rows: list[Row], head: str) -> None:
    """The table."""
    table = Table("kernel", "case", "ours µs", "peer", "peer µs", "ratio", "floor µs", title=head, title_justify="left")
    for row in rows:
        figures = f"{row.ours_us:,.0f}", row.peer, f"{row.peer_us:,.0f}", f"{row.ratio:.1f}", f"{row.floor_us:,.0f}"
        table.add_row(row.kernel, row.case, *figures)
    Console(width=170).print(table)


def main() -> None:
    """Measure, print, write."""
    kernels = ("bev_pool", "voxelize", "pillar_max", "frustum_index", "nms", "prepare_images")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each function of each case")
    parser.add_argument("--only", choices=kernels, nargs="*", default=kernels)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/kernels.json"))
    arguments = parser.parse_args()
    bench = Bench(arguments.threads, arguments.seconds)
    machine, load = describe_machine(), os.getloadavg()[0]
    rows = [row for kernel in arguments.only for case in getattr(bench, kernel)() for row in case]
    head = (
        f"{machine.line()}; {arguments.threads} threads; {bench.sensors.source}; copy {bench.bandwidth / 1e9:.1f} GB/s"
    )
    show(rows, head)
    on_gpu, said = gpu_rows(bench.sensors) if arguments.only == kernels else ([], "no GPU part with --only")
    if on_gpu:
        show(on_gpu, f"{said}; {bench.sensors.source}")
    else:
        print(said)
    document = {
        "machine": machine.model_dump(),
        "input": bench.sensors.source,
        "copy_bytes_per_s": bench.bandwidth,
        "load": load,
        "gpu": said,
    }
    write_text(arguments.out, json.dumps({**document, "rows": [asdict(row) for row in rows + on_gpu]}, indent=2) + "\n")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
