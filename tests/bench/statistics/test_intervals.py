"""Intervals of sums, differences and geometric means."""

import numpy as np
import pytest

from bench.statistics.intervals import Interval, geometric_mean, weighted_sum
from bench.statistics.latency import Ratio, latency_median
from tests.bench.factories import make_latency


def test_spreads_add_like_variances():
    total = weighted_sum([Interval(10, 7, 14), Interval(5, 1, 8)], [1, 1])
    assert (total.value, total.low, total.high) == (15, 15 - 5, 15 + 5)


def test_a_subtracted_interval_is_turned_round():
    gap = weighted_sum([Interval(10, 10, 10), Interval(5, 4, 7)], [1, -1])
    assert (gap.value, gap.low, gap.high) == (5, 3, 6)


def test_a_difference_covers_what_it_estimates():
    """The 95 % interval misses 3 to 20 of 200 differences of two normal means."""
    rng = np.random.default_rng(0)
    missed = 0
    for first, second in rng.normal([1.0, 0.0], 1.0, size=(200, 2)):
        gap = weighted_sum([Interval(m, m - 1.96, m + 1.96) for m in (first, second)], [1, -1])
        missed += not gap.low <= 1 <= gap.high
    assert 3 <= missed <= 20


def test_the_geometric_mean_of_opposite_ratios_is_one():
    mean = geometric_mean([Ratio(2, 1.6, 2.5), Ratio(0.5, 0.4, 0.625)])
    assert mean.value == pytest.approx(1)
    assert mean.low == pytest.approx(1 / mean.high)
    assert 1.1 < mean.high < 1.25  # narrower than either


def test_one_ratio_is_its_own_mean():
    mean = geometric_mean([Ratio(1.2, 1.1, 1.4)])
    assert (mean.value, mean.low, mean.high) == pytest.approx((1.2, 1.1, 1.4))


def test_a_median_lies_in_its_interval_and_turns_decide_its_width():
    steady = latency_median(make_latency(0.002))
    assert steady.low_s < steady.value_s < steady.high_s
    assert steady == latency_median(make_latency(0.002))
    only = latency_median(make_latency(0.002, rounds=1, turns=1))
    assert only.low_s == only.value_s == only.high_s
