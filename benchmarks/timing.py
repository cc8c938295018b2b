"""Rows of the table, and the clock behind them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One kernel against one peer."""

    kernel: str
    case: str
    device: str
    threads: int
    ours_us: float
    peer: str
    peer_us: float
    ratio: float
    floor_us: float
    """Bytes that must move at the measured copy bandwidth."""


def microseconds(functions: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median time of each function; they take turns, so that a busy moment of the machine hits all alike.

    Each turn begins with a pause, in which OpenMP's threads of the function before stop spinning, and an untimed call.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < end or min(map(len, times.values())) < 9:
        for name, function in functions.items():
            time.sleep(0.02)
            function()
            for _ in range(3):
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


def copy_bandwidth(threads: int) -> float:
    """Bytes per second that this machine reads and writes while it copies 128 MiB on ``threads`` threads."""
    import torch

    torch.set_num_threads(threads)
    source = torch.from_numpy(np.ones(2**25, np.float32))
    target = torch.empty_like(source)
    time_us = microseconds({"copy": lambda: target.copy_(source)}, 0.5)["copy"]
    return 2 * source.nbytes / time_us * 1e6


def rows_of(
    kernel: str, case: str, threads: int, functions: dict[str, Callable[[], Any]], floor_us: float, seconds: float
) -> list[Row]:
    """A row per peer; ``functions['ours']`` is the kernel."""
    times = microseconds(functions, seconds)
    ours = times.pop("ours")
    return [Row(kernel, case, "cpu", threads, ours, peer, took, took / ours, floor_us) for peer, took in times.items()]
