"""Statistics on pairs of processes: what they say of nothing, and of something."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.records.gate import Process, Verdict
from bench.statistics import process_pairs
from tests.bench.gate.small import process, side


def compared(head_s, base_s=0.01, pairs=5, seed=0, **changes):
    heads, bases = (side(s, pairs, seed=2 * seed + place, **changes) for place, s in ((1, head_s), (2, base_s)))
    return process_pairs.compare_pairs(heads, bases, margin=0.05)


def verdict(found, risk=0.012):
    return process_pairs.decide(found, margin=0.05, p_slower=found.p_slower, p_faster=found.p_faster, risk=risk)


def test_turns_are_compared_with_turns():
    """A machine that slows down by half during a pair slows both sides down, and the ratio stays."""
    drift = [1.0, 1.5, 3.0]
    head = Process(samples_s=[1.1 * slow for slow in drift for _ in range(4)], turns=[0] * 4 + [1] * 4 + [2] * 4)
    base = Process(samples_s=[slow for slow in drift for _ in range(4)], turns=head.turns)
    assert np.exp(process_pairs.turn_log_ratios(head, base)) == pytest.approx([1.1] * 3)


def test_turns_that_one_side_did_not_take_are_left_out():
    head = Process(samples_s=[1.0, 2.0], turns=[0, 1])
    base = Process(samples_s=[1.0, 4.0], turns=[0, 2])
    assert process_pairs.turn_log_ratios(head, base) == pytest.approx([0.0])


def test_by_hand():
    """Two-sided facts about four pairs whose log ratios are 0, 1, 2 and 3 percent."""
    bases = [process(spread=0.0) for _ in range(4)]
    heads = [process(0.01 * np.exp(step / 100), spread=0.0) for step in range(4)]
    found = process_pairs.compare_pairs(heads, bases, margin=0.05)
    logs = np.arange(4) / 100
    assert found.estimate.ratio == pytest.approx(np.exp(0.015))
    assert found.spread == pytest.approx(logs.std(ddof=1))
    assert found.p_slower == pytest.approx(stats.ttest_1samp(logs, 0, alternative="greater").pvalue)
    assert found.p_faster == pytest.approx(1 - found.p_slower)
    within = [
        stats.ttest_1samp(logs, sign * np.log(1.05), alternative=way).pvalue
        for sign, way in ((-1, "greater"), (1, "less"))
    ]
    assert found.p_different == pytest.approx(max(within))


@pytest.mark.parametrize(("head_s", "expected"), [
    (0.011, Verdict.SLOWER), (0.009, Verdict.FASTER), (0.01, Verdict.SAME), (0.0101, Verdict.SAME),
])  # fmt: skip
def test_a_clear_difference_is_called_and_one_within_the_margin_is_none(head_s, expected):
    assert verdict(compared(head_s)) is expected


def test_what_noise_hides_is_ambiguous_until_there_are_more_pairs():
    noisy = {"between": 0.05}
    assert verdict(compared(0.0102, **noisy)) is Verdict.AMBIGUOUS
    assert verdict(compared(0.0107, pairs=60, **noisy)) is Verdict.SLOWER
    assert verdict(compared(0.01, pairs=60, **noisy)) is Verdict.SAME


def test_many_samples_of_few_processes_prove_nothing():
    """Ten thousand rounds a process leave the spread between processes what it is."""
    few, many = compared(0.0102, between=0.02), compared(0.0102, between=0.02, rounds=10_000)
    assert many.p_slower > 0.01
    assert many.spread == pytest.approx(few.spread, rel=0.2)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Over 200 made-up comparisons of 5 pairs the 95 % interval holds the true ratio in at least 93 %."""
    held = 0
    for seed in range(200):
        heads, bases = side(0.0103, seed=2 * seed, between=0.02), side(0.01, seed=2 * seed + 1, between=0.02)
        found = process_pairs.compare_pairs(heads, bases, margin=0.05).estimate
        held += found.low <= 1.03 <= found.high
    assert held >= 186


def test_a_stored_run_of_one_process_widens_the_interval():
    heads = side(0.01, between=0.02, seed=1)
    many = process_pairs.compare_with_stored(heads, side(0.01, 5, between=0.02, seed=2), margin=0.05).estimate
    one = process_pairs.compare_with_stored(heads, side(0.01, 1, between=0.02, seed=2), margin=0.05).estimate
    assert one.high / one.low > many.high / many.low


def test_a_stored_run_that_was_faster_makes_head_slower():
    found = process_pairs.compare_with_stored(side(0.012, seed=1), side(0.01, 5, seed=2), margin=0.05)
    assert found.estimate.low > 1.1
    assert found.p_slower < 1e-4


def test_the_tail_is_compared_where_every_process_has_the_rounds():
    assert process_pairs.tail_ratio(side(0.01, rounds=99), side(0.01, rounds=120)) is None
    found = process_pairs.tail_ratio(side(0.012, rounds=120, seed=1), side(0.01, rounds=120, seed=2))
    assert found.low < 1.2 < found.high
    assert found.ratio == pytest.approx(1.2, rel=0.03)


def test_holm_by_hand():
    assert process_pairs.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert process_pairs.holm([]) == []
    assert process_pairs.holm([0.9]) == [0.9]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_never_lowers(p_values):
    adjusted = process_pairs.holm(p_values)
    assert all(0 <= raw <= found <= 1 for raw, found in zip(p_values, adjusted, strict=True))
    assert [adjusted[row] for row in np.argsort(p_values, kind="stable")] == sorted(adjusted)


def test_all_looks_together_run_no_more_than_the_risk():
    spent = sum(process_pairs.risk_at(look) for look in range(10_000))
    assert spent <= process_pairs.RISK
    assert spent == pytest.approx(process_pairs.RISK, rel=1e-3)


@pytest.mark.parametrize("spread", [0.005, 0.03])
def test_a_slow_down_as_large_as_is_detectable_is_called_so_at_least_four_times_in_five(spread):
    """Where noise is small the margin hides more than noise does."""
    risk, pairs = 0.012, 6
    slow_down = process_pairs.detectable(spread, pairs, risk=risk, margin=0.05)
    called = 0
    for seed in range(150):
        found = compared(0.01 * (1 + slow_down), pairs=pairs, between=spread / np.sqrt(2), seed=seed)
        called += verdict(found, risk) is Verdict.SLOWER
    assert called / 150 > process_pairs.POWER - 0.1, "where the margin decides, the bootstrap interval makes it more"
    assert slow_down > 0.04
