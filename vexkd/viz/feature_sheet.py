"""The sheet of BEV features: every run's, a row per level, on one scale per row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vexkd.geometry import BevGrid
from vexkd.models.inputs import Output
from vexkd.viz.features import colour_bar, energy, heat_picture
from vexkd.viz.opened import Run, first
from vexkd.viz.scale import shared_scale
from vexkd.viz.sheet import Titled, sheet

SIDE = 420
"""Pixels of a heat map."""


class Panel(NamedTuple):
    """A BEV feature (C, H, W) to be drawn: whose it is, which part of the network it comes from, and its grid."""

    owner: str
    part: str
    feature: NDArray[np.floating]
    grid: BevGrid


def feature_sheet(runs: Sequence[Run], outputs: Sequence[Output]) -> Image.Image:
    """Energy of the runs' BEV features."""
    return sheet([_level_row(runs, outputs, level) for level in ("low", "high")])


def energy_row(panels: Sequence[Panel]) -> list[Titled]:
    """Heat maps of the panels' energy on the scale they share, over the same ground, and that scale's bar."""
    energies = [energy(panel.feature) for panel in panels]
    scale, reach = shared_scale(energies), max(grid_reach(panel.grid) for panel in panels)
    pictures = [
        (_energy_title(panel, values), heat_picture(values, panel.grid, scale, SIDE, reach))
        for panel, values in zip(panels, energies, strict=True)
    ]
    return [*pictures, ("energy\n(log)", colour_bar(scale, SIDE))]


def grid_reach(grid: BevGrid) -> float:
    """Metres from the ego to the farthest side of a grid."""
    return max(map(abs, (*grid.x, *grid.y)))


def _energy_title(panel: Panel, values: NDArray[np.floating]) -> str:
    return f"{panel.owner}\n{panel.part}, {len(panel.feature)} channels, median energy {np.median(values):.2g}"


def _level_row(runs: Sequence[Run], outputs: Sequence[Output], level: str) -> list[Titled]:
    return energy_row(
        [
            Panel(run.title, f"{level} level", first(getattr(output, level)), run.config.model.grid)
            for run, output in zip(runs, outputs, strict=True)
        ]
    )
