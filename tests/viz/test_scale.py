"""The same colour means the same number: scales against hand-computed places."""

import numpy as np
import pytest

from vexkd.viz.scale import LARGEST_RATIO, LEAST_RATIO, Scale, shared_scale


def test_places_on_a_logarithmic_scale() -> None:
    values = np.array([0.0, 0.01, 0.1, 1.0, 7.0, np.nan])
    np.testing.assert_allclose(Scale(0.01, 1.0, logarithmic=True).place(values), [0, 0, 0.5, 1, 1, np.nan])


def test_places_on_a_linear_scale() -> None:
    np.testing.assert_allclose(Scale(0.0, 2.0).place(np.array([-1.0, 0.5, 2.0, 3.0])), [0, 0.25, 1, 1])


def test_ticks_are_round_and_on_the_bar() -> None:
    np.testing.assert_allclose(Scale(0.0, 1.0).ticks(), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(Scale(0.15, 3.0, logarithmic=True).ticks(), [0.2, 0.5, 1, 2])


def test_a_shared_scale_holds_the_faintest_and_the_strongest_map() -> None:
    faint, strong = np.full((10, 10), 0.05), np.full((10, 10), 2.0)
    assert shared_scale([faint, strong]) == Scale(0.05, 2.0, logarithmic=True)
    assert shared_scale([strong, faint]) == shared_scale([faint, strong])


def test_single_cells_do_not_stretch_a_shared_scale() -> None:
    field = np.geomspace(0.1, 2.0, 10_000)
    outliers = field.copy()
    outliers[[0, -1]] = 1e-6, 1e6
    assert shared_scale([outliers]) == pytest.approx(shared_scale([field]), rel=1e-3)


@pytest.mark.parametrize(("low", "ratio"), [(1.0, LEAST_RATIO), (1e-9, LARGEST_RATIO)])
def test_a_shared_scale_keeps_its_span_within_bounds(low: float, ratio: float) -> None:
    scale = shared_scale([np.full(9, low), np.ones(9)])
    assert scale.high / scale.low == pytest.approx(ratio)


def test_maps_of_zeros_have_a_scale() -> None:
    scale = shared_scale([np.zeros((4, 4))])
    assert (scale.place(np.zeros(3)) == 0).all()
