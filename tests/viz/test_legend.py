"""A legend shows every colour beside its name and wraps where the picture is narrow."""

import numpy as np
import pytest
from PIL import Image

from vexkd.viz.colours import BOX_COLOURS, MAP_COLOURS
from vexkd.viz.legend import with_legend


@pytest.mark.parametrize("width", [300, 2000])
def test_every_colour_is_below_the_picture(width: int) -> None:
    whole = with_legend(Image.new("RGB", (width, 50)), BOX_COLOURS)
    strip = np.asarray(whole)[50:].reshape(-1, 3)
    assert whole.width == width
    assert all((strip == colour).all(axis=1).sum() >= 13 * 13 for colour in BOX_COLOURS.values())


def test_a_narrow_legend_is_higher() -> None:
    narrow, wide = (with_legend(Image.new("RGB", (width, 50)), BOX_COLOURS) for width in (300, 2000))
    assert narrow.height > wide.height


@pytest.mark.parametrize("colours", [BOX_COLOURS, MAP_COLOURS])
def test_colours_differ_enough_to_tell_classes_apart(colours: dict[str, tuple[int, int, int]]) -> None:
    values = np.array(list(colours.values()), dtype=np.float64)
    apart = np.linalg.norm(values[:, None] - values[None], axis=-1)
    assert apart[~np.eye(len(values), dtype=bool)].min() > 50
