"""Heat maps show a cell where it is, in the colour that the bar gives its number."""

import numpy as np
import pytest
from PIL import Image

from vexkd.geometry import BevGrid
from vexkd.viz.bev import bev_pixels, bev_raster
from vexkd.viz.colours import BACKGROUND
from vexkd.viz.features import colour_bar, energy, heat_picture
from vexkd.viz.scale import Scale

GRID = BevGrid(x=(-4.0, 8.0), y=(-2.0, 2.0), cell=1.0)
"""4 rows along y, 12 columns along x: a rectangle off the centre, so that swapped or mirrored axes show."""


def test_energy_does_not_grow_with_the_number_of_channels() -> None:
    feature = np.array([[[3.0, 0.0]], [[4.0, 1.0]]])
    np.testing.assert_allclose(energy(feature), np.sqrt([[12.5, 0.5]]))
    np.testing.assert_allclose(energy(np.concatenate([feature] * 5)), energy(feature))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 11), (1, 9)])
def test_a_cell_is_drawn_at_its_centre(row: int, column: int) -> None:
    values = np.zeros((GRID.height, GRID.width))
    values[row, column] = 1
    raster = bev_raster(values, GRID, size=160, reach=8.0)
    x, y = GRID.x[0] + column + 0.5, GRID.y[0] + row + 0.5
    pixels = np.argwhere(raster == 1)[:, ::-1] + 0.5
    np.testing.assert_allclose(pixels.mean(axis=0), bev_pixels(np.array([x, y]), 160, 8.0))
    assert len(pixels) == 10 * 10 and np.isfinite(raster).sum() == 12 * 4 * 100


def test_what_the_grid_does_not_cover_is_background() -> None:
    pixels = np.asarray(heat_picture(np.ones((4, 12)), GRID, Scale(0.0, 1.0), 160, reach=8.0))
    assert (pixels[:, 0] == BACKGROUND).all() and (pixels[-1] == BACKGROUND).all()
    assert (pixels[80, 80] != BACKGROUND).all()


@pytest.mark.parametrize("scale", [Scale(0.0, 1.0), Scale(0.02, 3.0, logarithmic=True)])
@pytest.mark.parametrize("value", [0.05, 0.5, 0.99])
def test_a_heat_map_has_the_bars_colour(scale: Scale, value: float) -> None:
    height = 2001
    heat = heat_picture(np.full((4, 12), value), GRID, scale, 80, reach=8.0).getpixel((40, 40))
    bar = np.asarray(colour_bar(scale, height))[:, 10].astype(int)
    row = round((1 - float(scale.place(np.array(value)))) * (height - 1))
    assert np.abs(bar[row] - np.array(heat)).max() <= 2


def test_a_bar_prints_numbers() -> None:
    bar: Image.Image = colour_bar(Scale(0.0, 1.0), 100)
    printed = np.asarray(bar)[:, 30:]
    assert bar.height == 100 and (printed != BACKGROUND).any(axis=(1, 2)).sum() > 40
