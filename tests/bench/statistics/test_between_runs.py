"""Intervals of ratios between runs hold what differs from run to run."""

import numpy as np
import pytest
from scipy import stats

from bench.report.comparing.comparison import Past, run_ratio
from bench.statistics.between_runs import OneRunEach, RunSide, Spread, mean_between_runs, ratio_between_runs, spread
from bench.statistics.latency import Median, Ratio
from tests.bench.factories import make_provenance, make_record

BETWEEN, WITHIN = 0.02, 0.002
"""Standard deviations of the logarithm of a run's median: from run to run, and what its turns show of it."""

TRIALS = 2000


def side(median_s, known, within=WITHIN):
    return RunSide(Median(median_s, median_s * np.exp(-1.96 * within), median_s * np.exp(1.96 * within)), known)


def simulated(rng, runs, change=0.0):
    """Two runs of other code, and so many earlier ones of one code that tell how far equal runs lie apart."""
    medians = np.exp(rng.normal(np.log(0.01), BETWEEN, runs + 2) + rng.normal(0, WITHIN, runs + 2))
    medians[-1] *= np.exp(change)
    known = spread({"earlier": medians[:runs], "base": medians[-2:-1], "head": medians[-1:]})
    return ratio_between_runs(side(medians[-1], known), side(medians[-2], known))


@pytest.mark.parametrize("runs", [2, 3, 5, 10])
def test_simulated_intervals_hold_the_truth_nine_times_in_ten_and_more(runs):
    """Where runs differ by 2 %; the bootstrap over turns alone held it in a third of the trials."""
    rng = np.random.default_rng(runs)
    found = [simulated(rng, runs) for _ in range(TRIALS)]
    held = np.mean([one.low <= 1 <= one.high for one in found])
    assert 0.93 < held < 0.98
    turns_alone = np.mean([abs(np.log(one.value)) < 1.96 * np.sqrt(2) * WITHIN for one in found])
    assert turns_alone < 0.42


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_runs_of_other_code_alone_make_intervals_too_wide_and_never_too_narrow(runs):
    """Each earlier run is of code of its own, some of it slower, some quicker: that counts as spread."""
    rng = np.random.default_rng(runs)
    held = []
    for _ in range(300):
        changes = rng.normal(0, BETWEEN, runs) * (np.arange(runs) > 0)
        medians = np.exp(rng.normal(np.log(0.01), BETWEEN, runs + 2))
        medians[:runs] *= np.exp(changes)
        records = [
            make_record(median_s=median, provenance=make_provenance(commit=f"{row:040d}", started=f"run {row}"))
            for row, median in enumerate(medians)
        ]
        base, head = records[-2:]
        found = run_ratio(head, base, Past(records))
        held.append(found.low <= 1 <= found.high)
    assert np.mean(held) > 0.93


def test_a_real_change_of_a_tenth_is_seen_with_a_few_runs():
    rng = np.random.default_rng(0)
    for runs, least in ((3, 0.3), (5, 0.6), (10, 0.8)):
        seen = np.mean([simulated(rng, runs, change=np.log(1.1)).low > 1 for _ in range(TRIALS)])
        assert seen > least


def test_one_run_each_has_a_ratio_and_no_interval():
    assert spread({"base": [0.01], "head": [0.02]}) is None
    assert ratio_between_runs(side(0.02, None), side(0.01, Spread(0.02, 3))) == OneRunEach(2.0)


def test_a_change_of_the_code_is_no_spread():
    found = spread({"before": [0.01, 0.0101], "after": [0.02, 0.0202]})
    assert found.freedom == 2
    assert found.sd == pytest.approx(np.log(1.01) / np.sqrt(2))


def test_an_interval_is_never_narrower_than_the_turns_say():
    narrow = ratio_between_runs(side(0.02, Spread(1e-9, 30)), side(0.01, Spread(1e-9, 30)))
    assert np.log(narrow.high / 2) == pytest.approx(2.04 * np.sqrt(2) * WITHIN, rel=0.01)


def test_two_machines_each_bring_their_own_spread():
    """As Welch and Satterthwaite have it: the less that is known of the wilder side, the wider."""
    steady, wild = Spread(0.01, 9), Spread(0.05, 2)
    apart = ratio_between_runs(side(0.02, wild), side(0.01, steady))
    freedom = (0.05**2 + 0.01**2) ** 2 / (0.05**4 / 2 + 0.01**4 / 9)
    assert np.log(apart.high / 2) == pytest.approx(stats.t.ppf(0.975, freedom) * np.hypot(0.05, 0.01))
    assert freedom == pytest.approx(2.16, abs=0.01)


def test_a_mean_over_cases_is_no_surer_than_its_cases():
    one = Ratio(1.2, 1.1, 1.3)
    mean = mean_between_runs([one] * 50)
    assert (mean.value, mean.low, mean.high) == pytest.approx((1.2, 1.1, 1.3))
