"""How far an activation's 8-bit range reaches, chosen from a histogram of its values.

A wide range wastes levels on rare values, a narrow one clips them. Each method scales the observed range by a factor:

- ``minmax``: 1, nothing is clipped;
- ``percentile``: the smallest that clips at most 0.01 % of the values;
- ``mse``: the one with the least squared error of rounding and clipping together;
- ``entropy``: the one whose rounded histogram has the least Kullback-Leibler divergence from the clipped one (TensorRT's).
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Method = Literal["minmax", "percentile", "mse", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

BINS = 2048
FACTORS = np.linspace(1.0, 0.2, 81)
"""Tried by ``mse`` and ``entropy``, widest first."""
CLIPPED = 1e-4
LEVELS = 256


class Range(NamedTuple):
    """Least and largest value that is represented; 0 lies between."""

    low: float
    high: float

    def joined(self, other: "Range") -> "Range":
        """The range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


class Histogram:
    """Counts of values in equal bins over a range that is known beforehand."""

    def __init__(self, limits: Range) -> None:
        self.limits = limits
        self.counts = np.zeros(BINS, np.int64)
        self._edges = (limits.low, limits.high if limits.high > limits.low else limits.low + 1.0)

    def add(self, values: NDArray[np.floating]) -> None:
        """Count the values of an array of any shape."""
        self.counts += np.histogram(values, BINS, self._edges)[0]

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin."""
        edges = np.linspace(*self._edges, BINS + 1)
        return np.asarray((edges[:-1] + edges[1:]) / 2)


def choose_range(histogram: Histogram, method: Method, symmetric: bool) -> Range:
    """The range that a method takes of what was observed.

    Args:
        histogram: of the activation.
        method: see the module.
        symmetric: the levels lie around 0 (int8 with zero point 0) and not from low to high (uint8).
    """
    low, high = histogram.limits
    if symmetric:
        high = max(-low, high)
        low = -high
    if method == "minmax" or high <= low:
        return Range(low, high)
    factor = {"percentile": _percentile, "mse": _mse, "entropy": _entropy}[method](histogram, low, high)
    return Range(low * factor, high * factor)


def _percentile(histogram: Histogram, low: float, high: float) -> float:
    clipped = [_clipped(histogram, low * factor, high * factor) for factor in FACTORS]
    return float(min(factor for factor, share in zip(FACTORS, clipped, strict=True) if share <= CLIPPED))


def _clipped(histogram: Histogram, low: float, high: float) -> float:
    outside = (histogram.centres < low) | (histogram.centres > high)
    return float(histogram.counts[outside].sum() / histogram.counts.sum())


def _mse(histogram: Histogram, low: float, high: float) -> float:
    def error(factor: float) -> float:
        found = _rounded(histogram.centres, low * factor, high * factor)
        return float((histogram.counts * (found - histogram.centres) ** 2).sum())

    return float(min(FACTORS, key=error))


def _rounded(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    step = (high - low) / (LEVELS - 1)
    zero = round(-low / step)
    return np.asarray((np.clip(np.rint(values / step) + zero, 0, LEVELS - 1) - zero) * step)


def _entropy(histogram: Histogram, low: float, high: float) -> float:
    def divergence(factor: float) -> float:
        inside = (histogram.centres >= low * factor) & (histogram.centres <= high * factor)
        counts = histogram.counts[inside].astype(np.float64)
        # What lies beyond an end is represented by the end.
        clipped = counts.copy()
        clipped[0] += histogram.counts[histogram.centres < low * factor].sum()
        clipped[-1] += histogram.counts[histogram.centres > high * factor].sum()
        level = np.rint((histogram.centres[inside] - low * factor) / ((high - low) * factor) * (LEVELS - 1)).astype(int)
        filled = (counts > 0).astype(np.float64)
        sums, used = np.bincount(level, counts, LEVELS), np.bincount(level, filled, LEVELS)
        spread = filled * (sums / np.maximum(used, 1))[level]
        p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
        # Clipped values that no level stands for would be infinitely far: a small floor makes them very far.
        held = p > 0
        return float((p[held] * np.log(p[held] / np.maximum(q[held], 1e-9))).sum())

    return float(min(FACTORS, key=divergence))
