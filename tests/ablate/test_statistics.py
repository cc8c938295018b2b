"""Means and paired intervals against figures computed by hand."""

import pytest

from vexkd.ablate.statistics import mean_of, paired_difference


def test_mean_and_deviation_of_two_and_of_one():
    found = mean_of([0.30, 0.40])
    assert (found.mean, found.n) == (pytest.approx(0.35), 2)
    assert found.deviation == pytest.approx(0.0707107, abs=1e-7)
    assert mean_of([0.3]).deviation is None


def test_the_interval_is_students():
    # Differences 0.01, 0.02, 0.03: mean 0.02, deviation 0.01, t(2, 97.5 %) = 4.302653, reach 4.302653 * 0.01 / sqrt(3).
    found = paired_difference({0: 0.31, 1: 0.42, 2: 0.53}, {0: 0.30, 1: 0.40, 2: 0.50})
    assert found is not None
    assert found.mean == pytest.approx(0.02)
    assert found.deviation == pytest.approx(0.01)
    assert found.interval == pytest.approx((-0.0048414, 0.0448414), abs=1e-6)
    assert not found.significant


def test_pairs_take_the_noise_of_seeds_away():
    # Values differ by 0.4 among seeds, differences by 0.002: deviation 0.00141421, t(1) = 12.7062, reach 0.0127062.
    found = paired_difference({0: 0.521, 1: 0.923}, {0: 0.5, 1: 0.9})
    assert found is not None
    assert found.interval == pytest.approx((0.022 - 0.0127062, 0.022 + 0.0127062), abs=1e-6)
    assert found.significant


def test_only_equal_seeds_make_pairs():
    found = paired_difference({0: 0.5, 7: 0.9}, {0: 0.4, 1: 0.1})
    assert found is not None
    assert (found.n, found.mean) == (1, pytest.approx(0.1))
    assert found.interval is None and found.deviation is None and not found.significant
    assert paired_difference({0: 0.5}, {1: 0.5}) is None
