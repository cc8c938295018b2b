"""The formulations that the kernels replace, written as well as their libraries allow."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def frustum_pixels(points: Tensor, shape: Sequence[int]) -> Tensor:
    """Row of each frustum point's pixel in a channels-last context (V*h*w, C)."""
    _, depths, height, width = shape
    plane = height * width
    return points // (depths * plane) * plane + points % plane


class PoolPeer:
    """Depth times context, then a sum by cell. The index is computed once, outside the clock, as a deployment would."""

    def __init__(self, depth: Tensor, context: Tensor, points: Tensor, starts: Tensor, height: int, width: int) -> None:
        self.depth, self.context = depth, context
        self.size = (height, width)
        self.points = points[: starts[-1]].long()
        self.cells = torch.repeat_interleave((starts[1:] - starts[:-1]).long())
        self.pixels = frustum_pixels(self.points, depth.shape)

    def terms(self) -> Tensor:
        """Product (K, C) of every listed point."""
        rows = self.context.permute(0, 2, 3, 1).reshape(-1, self.context.shape[1])
        return rows[self.pixels] * self.depth.reshape(-1)[self.points, None]

    def index_add(self) -> Tensor:
        """With ``index_add_``."""
        terms = self.terms()
        bev = terms.new_zeros(self.size[0] * self.size[1], terms.shape[1])
        return bev.index_add_(0, self.cells, terms).t().reshape(1, -1, *self.size)

    def scatter_add(self) -> Tensor:
        """With ``scatter_add_``."""
        terms = self.terms()
        bev = terms.new_zeros(self.size[0] * self.size[1], terms.shape[1])
        return bev.scatter_add_(0, self.cells[:, None].expand_as(terms), terms).t().reshape(1, -1, *self.size)


class Pillars:
    """The torch formulation of Voxelize and PillarMax: floor, ``index_add_`` for the mean, ``scatter_reduce_`` amax.

    With ``reserved`` the large tables are allocated once.
    """

    def __init__(
        self, limits: Sequence[float], cell: Sequence[float], size: int, channels: int, reserved: bool
    ) -> None:
        self.low, self.high = torch.tensor(limits[:3]), torch.tensor(limits[3:])
        self.cell = torch.tensor(cell)
        self.size, self.channels = size, channels
        self.memory = self.tables() if reserved else None

    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sums, maxima and output."""
        cells = self.size * self.size
        return torch.empty(cells, 4), torch.empty(cells, self.channels), torch.empty(self.channels, cells)

    def voxelize(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Features (M, 11) and cells (M,) of the points inside the range."""
        index = torch.floor((points[:, :2] - self.low[:2]) / self.cell)
        inside = (index >= 0).all(1) & (index < self.size).all(1) & points.isfinite().all(1)
        inside &= (points[:, 2] >= self.low[2]) & (points[:, 2] < self.high[2])
        points, index = points[inside], index[inside]
        cells = index[:, 1].long() * self.size + index[:, 0].long()
        sums = (self.memory or self.tables())[0].zero_()
        sums.index_add_(0, cells, torch.cat([points[:, :3], torch.ones_like(points[:, :1])], 1))
        own = sums[cells]
        centre = torch.cat([(index + 0.5) * self.cell + self.low[:2], points.new_zeros(len(points), 1)], 1)
        centre[:, 2] = (self.low[2] + self.high[2]) / 2
        xyz = points[:, :3]
        return torch.cat([points, xyz - own[:, :3] / own[:, 3:], xyz - centre], 1), cells

    def maximum(self, features: Tensor, cells: Tensor) -> Tensor:
        """(1, C, H, W), 0 where empty."""
        _, bev, out = self.memory or self.tables()
        bev.zero_().scatter_reduce_(0, cells[:, None].expand_as(features), features, "amax", include_self=False)
        return out.copy_(bev.t()).view(1, -1, self.size, self.size)


def frustum_argsort(
    positions: NDArray[np.float32], limits: Sequence[float], cell: Sequence[float], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The numpy formulation: floor, mask, stable ``argsort`` of the kept points' cells, ``searchsorted``."""
    flat = positions.reshape(-1, 3)
    low, high = np.array(limits[:3], np.float32), np.array(limits[3:], np.float32)
    index = np.floor((flat[:, :2] - low[:2]) / np.array(cell, np.float32)).astype(np.int32)
    inside = (flat >= low).all(1) & (flat < high).all(1)
    kept = np.flatnonzero(inside).astype(np.int32)
    cells = index[kept, 1] * width + index[kept, 0]
    order = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[order], np.arange(height * width + 1)).astype(np.int32)
    return kept[order], starts


def spconv_voxelizer(limits: Sequence[float], cell: Sequence[float]) -> Callable[[NDArray[np.float32]], Any] | None:
    """The CPU ``PointToVoxel`` of spconv at its usual cap of 20 points and 60,000 voxels; None without spconv."""
    try:
        from cumm import tensorview
        from spconv.utils import Point2VoxelCPU3d
    except ImportError:
        return None
    side = [*cell, limits[5] - limits[2]]
    generator = Point2VoxelCPU3d(side, list(limits), 5, 60_000, 20)
    return lambda points: generator.point_to_voxel(tensorview.from_numpy(points))


def onnx_bev_pool(inputs: dict[str, NDArray[Any]], height: int, width: int, threads: int) -> Callable[[], Any]:
    """ONNX Runtime running the function body of a ``BevPool`` node."""
    from onnx import TensorProto, helper

    from vexkd.engines.onnx_session import OnnxRuntime
    from vexkd.export import operators

    operators.register_schemas()
    attributes = {"height": height, "width": width, **operators.PLUGIN_ATTRIBUTES}
    node = helper.make_node("BevPool", list(inputs), ["bev"], domain=operators.DOMAIN, **attributes)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    result = helper.make_tensor_value_info("bev", TensorProto.FLOAT, [1, inputs["context"].shape[1], height, width])
    imports = [helper.make_opsetid("", operators.OPSET), helper.make_opsetid(operators.DOMAIN, operators.VERSION)]
    graph = helper.make_graph([node], "pool", given, [result])
    model = helper.make_model(graph, opset_imports=imports, functions=operators.functions(), ir_version=10)
    runtime = OnnxRuntime(model.SerializeToString(), "cpu", threads, operators="bodies")
    return lambda: runtime.run(inputs)


def greedy_circles(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int32], radii: NDArray[np.float32]
) -> list[int]:
    """Circle suppression in numpy: each kept box strikes out the later ones of its class that are near."""
    order = np.argsort(-scores, kind="stable")
    centres, own = boxes[order, :2].astype(np.float64), labels[order]
    alive = np.ones(len(order), bool)
    for index in range(len(order)):
        if alive[index]:
            near = ((centres[index + 1 :] - centres[index]) ** 2).sum(1) < float(radii[own[index]]) ** 2
            alive[index + 1 :] &= ~(near & (own[index + 1 :] == own[index]))
    return [int(index) for index in order[alive]]


def resize_crop_normalise(images: Tensor, size: Sequence[int], mean: Tensor, deviation: Tensor) -> Tensor:
    """Image preparation in torch: cast, permute, bilinear ``interpolate``, crop, normalise."""
    raw = images.shape[1:3]
    scale = max(size[0] / raw[0], size[1] / raw[1])
    resized = [round(side * scale) for side in raw]
    pixels = torch.nn.functional.interpolate(images.permute(0, 3, 1, 2).float(), resized, mode="bilinear")
    left = (resized[1] - size[1]) // 2
    return (pixels[:, :, resized[0] - size[0] :, left : left + size[1]] - mean) / deviation
