"""Schedules at the points their definition names."""

import pytest

from vexkd.training.schedule import rate_factor


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_nothing():
    assert rate_factor("one_cycle", 0, 1000) == pytest.approx(0.1)
    assert rate_factor("one_cycle", 400, 1000) == pytest.approx(1.0)
    assert rate_factor("one_cycle", 700, 1000) == pytest.approx(0.5, abs=1e-3)
    assert rate_factor("one_cycle", 1000, 1000) == pytest.approx(1e-4)


def test_cosine_warms_up_and_falls():
    assert rate_factor("cosine", 0, 100) == pytest.approx(1 / 3)
    assert rate_factor("cosine", 50, 100) == pytest.approx(0.5, abs=1e-2)
    assert rate_factor("cosine", 100, 100) == pytest.approx(1e-3)
    assert rate_factor("cosine", 500, 100_000) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("total", [1, 2, 7])
def test_short_runs_have_rates_above_zero(schedule, total):
    assert all(0 < rate_factor(schedule, step, total) <= 1 for step in range(total + 1))
