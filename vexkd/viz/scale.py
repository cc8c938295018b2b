"""Scales that the heat maps of a row share, so that the same colour means the same number in each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_RATIO = 10.0
"""A logarithmic scale spans at least this factor: noise on a flat feature must not look like a pattern."""
LARGEST_RATIO = 1000.0
"""... and at most this one: what is near zero must not take the colours from the rest."""


class Scale(NamedTuple):
    """The numbers at the two ends of a colour bar; logarithmic between them, where so said."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where values stand on the bar, 0..1; what lies beyond an end stands at that end, NaN stays NaN."""
        clipped = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        if self.logarithmic:
            return np.asarray(np.log(clipped / self.low) / np.log(self.high / self.low))
        return np.asarray((clipped - self.low) / (self.high - self.low))

    def ticks(self) -> list[float]:
        """Round numbers from end to end; 1, 2 and 5 of each decade on a logarithmic scale."""
        if not self.logarithmic:
            return [float(tick) for tick in np.linspace(self.low, self.high, 5)]
        decades = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def shared_scale(maps: Sequence[NDArray[np.floating]]) -> Scale:
    """One logarithmic scale for maps of non-negative numbers that may lie far apart.

    It reaches from the faintest map's first percentile to the strongest map's 99th, within :data:`LEAST_RATIO` and
    :data:`LARGEST_RATIO`.
    """
    high = max(float(np.percentile(values, 99)) for values in maps)
    if high <= 0:
        return Scale(1 / LEAST_RATIO, 1.0, logarithmic=True)
    low = min(float(np.percentile(values, 1)) for values in maps)
    return Scale(float(np.clip(low, high / LARGEST_RATIO, high / LEAST_RATIO)), high, logarithmic=True)
