"""The kernels beside what they replace: one table, and ``runs/bench/kernels.json``.

    python -m benchmarks.kernels [--threads 2] [--seconds 1] [--only bev_pool]

Floor: the bytes an operator must read and write once, at the machine's measured copy bandwidth.
"""

import argparse
import json
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
from benchmarks.inputs import Sensors, load_sensors
from benchmarks.timing import Row, copy_bandwidth, rows_of
from vexkd.engines.machine import describe_machine
from vexkd.plugins.files import write_text
from vexkd.plugins.frustum import frustum_index
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
        """0.2 m pillars on 102.4 m."""
        spconv = peers.spconv_voxelizer(*PILLARS)
        for case, cloud in self.clouds().items():
            points, counts = torch.from_numpy(cloud), torch.tensor([len(cloud)], dtype=torch.int32)
            torch_pillars = peers.Pillars(*PILLARS, 512, 512)
            features, cells = ops.voxelize(points, counts, *PILLARS)
            theirs = torch_pillars.voxelize(points)[0]
            torch.testing.assert_close(features[cells >= 0], theirs, rtol=1e-3, atol=1e-3)
            functions: dict[str, Any] = {"ours": lambda p=points, c=counts: ops.voxelize(p, c, *PILLARS)}
            if spconv is not None:
                functions["spconv PointToVoxel"] = lambda cloud=cloud: spconv(cloud)
            functions["torch floor, index_add_"] = lambda p=points: torch_pillars.voxelize(p)
            moved = cloud.nbytes + features.nbytes + cells.nbytes
            yield self.rows("voxelize", f"{case} -> 512x512", functions, moved)

    def pillar_max(self) -> Iterator[list[Row]]:
        """Voxelize and PillarMax with 64 channels, the layers between left out; then PillarMax alone."""
        for case, cloud in self.clouds().items():
            points, counts = torch.from_numpy(cloud), torch.tensor([len(cloud)], dtype=torch.int32)
            torch_pillars = peers.Pillars(*PILLARS, 512, 512)
            cells = torch.from_numpy(voxelize(cloud, counts.numpy(), *PILLARS)[1])
            learned = torch.randn(len(cloud), 64, generator=torch.Generator().manual_seed(0))
            kept = learned[cells >= 0]
            bev = ops.pillar_max(learned, cells, 1, 512, 512)
            torch.testing.assert_close(torch_pillars.maximum(kept, cells[cells >= 0].long()), bev)

            def ours(points: Any = points, counts: Any = counts, learned: Any = learned) -> None:
                ops.pillar_max(learned, ops.voxelize(points, counts, *PILLARS)[1], 1, 512, 512)

            def theirs(points: Any = points, kept: Any = kept, peer: Any = torch_pillars) -> None:
                peer.maximum(kept, peer.voxelize(points)[1])

            moved = cloud.nbytes + len(cloud) * (11 + 64) * 4 + 2 * cells.nbytes + bev.nbytes
            functions = {"ours": ours, "torch index_add_, scatter_reduce_": theirs}
            yield self.rows("voxelize + pillar_max", f"{case} x 64 -> 512x512", functions, moved)
            inside = cells[cells >= 0].long()
            functions = {
                "ours": lambda f=learned, c=cells: ops.pillar_max(f, c, 1, 512, 512),
                "torch scatter_reduce_": lambda f=kept, c=inside, peer=torch_pillars: peer.maximum(f, c),
            }
            moved = kept.nbytes + cells.nbytes + bev.nbytes
            yield self.rows("pillar_max", f"{case} x 64 -> 512x512", functions, moved)

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


def show(rows: list[Row], head: str) -> None:
    """The table."""
    table = Table("kernel", "case", "ours µs", "peer", "peer µs", "ratio", "floor µs", title=head, title_justify="left")
    for row in rows:
        figures = f"{row.ours_us:,.0f}", row.peer, f"{row.peer_us:,.0f}", f"{row.ratio:.1f}×", f"{row.floor_us:,.0f}"
        table.add_row(row.kernel, row.case, *figures)
    Console(width=150).print(table)


def main() -> None:
    """Measure, print, write."""
    kernels = ("bev_pool", "voxelize", "pillar_max", "frustum_index")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each function of each case")
    parser.add_argument("--only", choices=kernels, nargs="*", default=kernels)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/kernels.json"))
    arguments = parser.parse_args()
    bench = Bench(arguments.threads, arguments.seconds)
    rows = [row for kernel in arguments.only for case in getattr(bench, kernel)() for row in case]
    machine = describe_machine()
    head = f"{machine.line()}; {arguments.threads} threads; {bench.sensors.source}; copy {bench.bandwidth / 1e9:.1f} GB/s"
    show(rows, head)
    document = {"machine": machine.model_dump(), "input": bench.sensors.source, "copy_bytes_per_s": bench.bandwidth}
    write_text(arguments.out, json.dumps({**document, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
