"""Learning-rate schedules as a factor on every parameter group's own rate."""

import math
from typing import Literal

Schedule = Literal["one_cycle", "cosine", "constant"]

WARM_UP_STEPS = 500
"""The cosine schedule warms up over this many steps, or a tenth of the run where that is shorter."""


def rate_factor(schedule: Schedule, step: int, total: int) -> float:
    """Factor on the learning rate at ``step`` of ``total`` optimiser steps.

    one_cycle: from 1/10 up to 1 over the first 40 % and down to 1e-4, both along half a cosine (CenterPoint's).
    cosine: linear from 1/3, then along half a cosine down to 1e-3 (BEVFusion's).
    """
    if schedule == "constant":
        return 1.0
    if schedule == "one_cycle":
        peak = max(1.0, 0.4 * total)
        if step < peak:
            return _cosine(0.1, 1.0, step / peak)
        return _cosine(1.0, 1e-4, (step - peak) / max(1.0, total - peak))
    warm = min(WARM_UP_STEPS, total // 10)
    start = 1 / 3 + 2 / 3 * step / warm if step < warm else 1.0
    return start * _cosine(1.0, 1e-3, step / max(1, total))


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
