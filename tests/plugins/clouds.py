"""Random inputs for the kernels: small, seeded, and full of what sensors and callers really send."""

from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

THREADS = (1, 2, 3, 7)

exact = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Same examples on every run."""


@dataclass(frozen=True)
class GridCase:
    """A grid as the operators take it."""

    range: tuple[float, ...]
    cell: tuple[float, float]
    height: int
    width: int


@st.composite
def grids(draw: st.DrawFn) -> GridCase:
    """Rectangular grids, off centre, with cells whose sides no binary fraction represents."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    cell = draw(st.sampled_from([(0.2, 0.2), (0.5, 0.25), (0.075, 0.3), (1.0, 3.0)]))
    x, y, z = (draw(st.sampled_from([-51.2, -3.0, 0.0, 0.1])) for _ in range(3))
    depth = draw(st.sampled_from([0.5, 8.0]))
    return GridCase((x, y, z, x + width * cell[0], y + height * cell[1], z + depth), cell, height, width)


def points_near(rng: np.random.Generator, grid: GridCase, rows: int) -> NDArray[np.float32]:
    """Points (rows, 5) in and around a grid: some exactly on cell borders, some not finite, some repeated."""
    low, high = np.array(grid.range[:3]), np.array(grid.range[3:])
    points = rng.random((rows, 5))
    points[:, :3] = low + (points[:, :3] * 1.4 - 0.2) * (high - low)
    on_border = rng.random(rows) < 0.2
    for axis in (0, 1):
        steps = np.round((points[on_border, axis] - low[axis]) / grid.cell[axis])
        points[on_border, axis] = low[axis] + steps * grid.cell[axis]
    if rows:
        points[rng.random(rows) < 0.1] = points[0]
        broken = rng.random((rows, 5)) < 0.02
        points[broken] = rng.choice([np.nan, np.inf, -np.inf], broken.sum())
    return points.astype(np.float32)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: type, broken: float = 0.0) -> NDArray:
    """Normal values of a dtype with many ties and zeros of both signs; a share ``broken`` is NaN or infinite."""
    data = np.round(rng.normal(0, 2, shape), 1) * rng.choice([1.0, -1.0, 0.0], shape)
    where = rng.random(shape) < broken
    data[where] = rng.choice([np.nan, np.inf, -np.inf], where.sum())
    return data.astype(dtype)


@dataclass(frozen=True)
class Frustum:
    """Inputs of BevPool."""

    depth: NDArray
    context: NDArray
    points: NDArray[np.int32]
    starts: NDArray[np.int32]
    size: tuple[int, int, int]

    @property
    def inputs(self) -> tuple:
        """Positional arguments of ``bev_pool``."""
        return self.depth, self.context, self.points, self.starts, *self.size


def random_frustum(
    rng: np.random.Generator,
    views: int,
    feature: tuple[int, int, int],
    channels: int,
    size: tuple[int, int, int],
    dtype: type = np.float32,
) -> Frustum:
    """Frustum points thrown into random cells, a third of them into one crowded cell, some into none."""
    depths, height, width = feature
    total, cells = views * depths * height * width, size[0] * size[1] * size[2]
    cell = rng.integers(-1, cells, total)
    cell[rng.random(total) < 0.3] = rng.integers(cells)
    order = np.argsort(cell, kind="stable")
    listed = order[cell[order] >= 0]
    points = np.full(total, -1, np.int32)
    points[: len(listed)] = listed
    starts = np.searchsorted(cell[listed], np.arange(cells + 1)).astype(np.int32)
    depth = rng.random((views, *feature)).astype(dtype)
    context = rng.normal(size=(views, channels, height, width)).astype(dtype)
    return Frustum(depth, context, points, starts, size)


def same_bits(ours: NDArray, theirs: NDArray) -> bool:
    """Equal dtype, shape and bits; NaN equals NaN, +0 differs from -0."""
    unsigned = {2: np.uint16, 4: np.uint32}[ours.dtype.itemsize]
    return ours.dtype == theirs.dtype and np.array_equal(ours.view(unsigned), theirs.view(unsigned))
