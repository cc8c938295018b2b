"""The published CUDA schemes of baselines.cu: compiled by nvcc where they are measured, called on torch's memory."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import frustum_pixels

SOURCE = Path(__file__).with_name("baselines.cu")
VOXELS, CAPACITY = 60_000, 20
"""The usual caps of a hash voxelization."""


def compile_baselines(folder: Path, architectures: tuple[str, ...]) -> Path:
    """The baselines' library for compute capabilities such as ``89``, built in a folder.

    Raises:
        RuntimeError: there is no nvcc, or it refuses.
    """
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise RuntimeError("nvcc is not on the PATH")
    library = folder / "libbaselines.so"
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    command = [nvcc, "-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC", *targets, str(SOURCE), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return library


class Baselines:
    """The library's two entry points."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def call(self, name: str, *arguments: Any) -> None:
        """Enqueue ``baseline_<name>``; tensors go as addresses."""
        status = getattr(self._library, f"baseline_{name}")(
            *map(_raw, arguments), ctypes.c_void_p(stream_of(arguments))
        )
        if status != 0:
            raise RuntimeError(f"baseline_{name} was not launched")


def stream_of(arguments: tuple[Any, ...]) -> int:
    """Address of torch's current stream where the tensors are on a GPU."""
    on_gpu = any(isinstance(value, Tensor) and value.is_cuda for value in arguments)
    return int(torch.cuda.current_stream().cuda_stream) if on_gpu else 0


def _raw(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int32(value) if isinstance(value, int) else value


class IntervalPool:
    """bev_pool_v2: indices and intervals prepared outside the clock, float32, channels-last in and out."""

    def __init__(
        self, baselines: Baselines, depth: Tensor, context: Tensor, points: Tensor, starts: Tensor, cells: int
    ) -> None:
        kept, lengths = points[: int(starts[-1])], starts[1:] - starts[:-1]
        filled = lengths.nonzero().squeeze(1)
        self.channels, self.baselines = context.shape[1], baselines
        self.bev = torch.empty(cells, self.channels, device=depth.device)
        ranks = (kept, frustum_pixels(kept.long(), depth.shape), torch.repeat_interleave(lengths.long()))
        arrays = (*ranks, starts[:-1][filled], lengths[filled])
        rows = context.float().permute(0, 2, 3, 1).contiguous()
        self.inputs = (depth.float().contiguous(), rows, *(array.int().contiguous() for array in arrays))
        self.sizes = (len(filled), self.channels, cells)

    def __call__(self) -> Tensor:
        """(cells, C)."""
        self.baselines.call("bev_pool", *self.inputs, *self.sizes, self.bev)
        return self.bev


class HashVoxelizer:
    """Voxels by a hash table with atomics, then their means: at most 60,000 voxels of 20 points."""

    def __init__(
        self, baselines: Baselines, points: Tensor, limits: tuple[float, ...], cell: tuple[float, float]
    ) -> None:
        self.baselines, self.points = baselines, points
        self.range = (ctypes.c_float * 8)(*limits, *cell)
        self.width = round((limits[3] - limits[0]) / cell[0])
        self.size = 1 << (2 * len(points)).bit_length()
        whole = {"dtype": torch.int32, "device": points.device}
        self.table = torch.empty(2 * self.size, **whole)
        self.counts, self.cells = torch.empty(VOXELS + 1, **whole), torch.empty(VOXELS, **whole)
        self.voxels = torch.empty(VOXELS, CAPACITY, 5, device=points.device)
        self.means = torch.empty(VOXELS, 5, device=points.device)

    def __call__(self) -> None:
        """Means and cells of the voxels; ``counts[-1]`` says how many there are."""
        inputs = (self.points, len(self.points), self.range, self.width, self.table, self.size, VOXELS, CAPACITY)
        self.baselines.call("voxelize", *inputs, self.counts, self.cells, self.voxels, self.means)
