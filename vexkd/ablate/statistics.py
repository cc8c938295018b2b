"""Means over seeds, and differences to a baseline in pairs of equal seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from scipy.special import stdtrit

LEVEL = 0.95
"""Of the intervals: so often do they hold the true mean difference, if differences are normal."""


@dataclass(frozen=True)
class Mean:
    """Mean and sample standard deviation of ``n`` values; the latter is None for one value."""

    mean: float
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """Paired difference of a row to the baseline.

    Attributes:
        mean: mean of the differences of equal seeds.
        deviation: their sample standard deviation, None for one pair.
        interval: the 95 % interval of the mean by Student's t, None for one pair.
        n: number of pairs.
    """

    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    n: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def mean_of(values: Sequence[float]) -> Mean:
    """Mean and standard deviation (divisor n - 1) of one or more values."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Mean(mean, None, 1)
    return Mean(mean, sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)), len(values))


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Difference | None:
    """Difference of ``values`` to ``baseline``, both by seed, over the seeds that both have; None if there is none."""
    seeds = sorted(values.keys() & baseline.keys())
    if not seeds:
        return None
    found = mean_of([values[seed] - baseline[seed] for seed in seeds])
    if found.deviation is None:
        return Difference(found.mean, None, None, 1)
    reach = float(stdtrit(found.n - 1, (1 + LEVEL) / 2)) * found.deviation / sqrt(found.n)
    return Difference(found.mean, found.deviation, (found.mean - reach, found.mean + reach), found.n)
