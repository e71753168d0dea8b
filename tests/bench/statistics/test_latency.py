"""Ratios of latency, and whether their intervals mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records.cost import Latency
from bench.records.model import Unavailable
from bench.statistics.latency import RESAMPLES, Pairing, latency_ratio, medians_side_by_side
from tests.bench.factories import make_latency


def latency_of(samples, turns) -> Latency:
    return Latency(
        rounds=len(samples),
        samples_s=list(samples),
        turns=list(turns),
        mean_s=float(np.mean(samples)),
        p50_s=float(np.median(samples)),
        device_s=Unavailable(unavailable="a test"),
        users_per_second=1.0,
    )


def drifting_pair(seed: int, factor: float = 1.0, turns: int = 10, rounds: int = 20):
    """Two cases that share the machine's drift turn by turn, as interleaved ones do."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.lognormal(0, 0.3, turns), rounds)
    numbers = np.repeat(np.arange(turns), rounds)
    first, second = (drift * rng.lognormal(0, 0.05, turns * rounds) for _ in range(2))
    return latency_of(factor * first, numbers), latency_of(second, numbers)


def test_identical_code_is_seldom_told_apart():
    """The true ratio, 1, lies outside the 95 % interval at most 8 times in 60 A/A pairs under drift."""
    ratios = [latency_ratio(*drifting_pair(seed)) for seed in range(60)]
    assert sum(not ratio.low <= 1 <= ratio.high for ratio in ratios) <= 8


def test_a_known_ratio_is_found_under_drift():
    """Pairing by turn finds a 20 % difference that is smaller than the drift."""
    found = [latency_ratio(*drifting_pair(seed, factor=1.2)) for seed in range(20)]
    assert sum(ratio.low > 1 for ratio in found) >= 18
    assert np.mean([ratio.low <= 1.2 <= ratio.high for ratio in found]) >= 0.8


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-6, 1e3), seed=st.integers(0, 1000))
def test_the_unit_of_time_does_not_matter(scale, seed):
    slow, fast = drifting_pair(seed, turns=6, rounds=5)
    scaled = [latency_of(np.array(one.samples_s) * scale, one.turns) for one in (slow, fast)]
    before, after = latency_ratio(slow, fast), latency_ratio(*scaled)
    assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high))


def test_saved_percent_follows_from_the_ratio():
    ratio = latency_ratio(make_latency(0.04), make_latency(0.01))
    assert ratio.value == pytest.approx(4)
    assert ratio.saved_percent[0] == pytest.approx(75)


def test_without_common_turns_samples_are_resampled():
    slow, fast = latency_of([2.0, 2.1, 1.9], [0, 0, 0]), latency_of([1.0, 1.1, 0.9], [7, 7, 7])
    ratio = latency_ratio(slow, fast)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.low < 2 < ratio.high


def test_turns_of_different_runs_are_not_taken_for_the_same_times():
    """Without pairing the drift counts twice, so the interval is wider."""
    slow, fast = drifting_pair(3, factor=1.2)
    paired, apart = (latency_ratio(slow, fast, pairing=pairing) for pairing in (Pairing.TURNS, Pairing.NONE))
    assert paired.value == apart.value
    assert apart.high - apart.low > 1.5 * (paired.high - paired.low)


def test_one_sample_a_side_has_an_interval_of_no_width():
    ratio = latency_ratio(latency_of([3.0], [0]), latency_of([1.0], [0]))
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((3, 3, 3))


def test_cases_of_one_start_and_equal_turns_are_resampled_together():
    """A machine that slows down slows both: the ratio of their medians varies less than either."""
    slow, fast = drifting_pair(3)
    together = medians_side_by_side([("monday", slow), ("monday", fast)])
    apart = medians_side_by_side([("monday", slow), ("tuesday", fast)])
    assert together.shape == (RESAMPLES, 2)
    assert np.log(together[:, 0] / together[:, 1]).std() < 0.5 * np.log(apart[:, 0] / apart[:, 1]).std()


def test_cases_of_few_turns_are_resampled_by_samples():
    few, many = latency_of([1.0, 2.0, 3.0], [0, 1, 2]), latency_of([5.0] * 6, list(range(6)))
    medians = medians_side_by_side([("monday", few), ("monday", many)])
    assert set(np.unique(medians[:, 0])) == {1.0, 2.0, 3.0}
    assert (medians[:, 1] == 5.0).all()
    assert (medians == medians_side_by_side([("monday", few), ("monday", many)])).all()
