"""Which law times follow, and with what parameters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from bench.statistics.growth import LEAST_EXPONENT, MOST_EXPONENT, PARAMETERS, Form, Laws, choose, fit, has_law, usable
from bench.statistics.latency import medians_side_by_side
from tests.bench.factories import make_latency

X = np.array([1.0, 4.0, 16.0, 64.0, 256.0])

milliseconds = st.floats(1e-4, 10.0)
shares = st.floats(0.2, 0.8)
"""Share of the growing part in the time at the middle of the x: both parts can be told."""
exponents = st.floats(0.4, 2.5)


def times_of(a, b, c, x=X):
    return a + b * x**c


def parts(middle_s, share, c):
    """Return a and b of a law that takes `middle_s` at x = 16."""
    return middle_s * (1 - share), middle_s * share / 16**c


@given(milliseconds, shares, exponents)
@settings(max_examples=40, deadline=None)
def test_exact_times_give_their_law_back(middle_s, share, c):
    a, b = parts(middle_s, share, c)
    law = fit(Form.FULL, X, times_of(a, b, c)[None])
    assert (law.a[0], law.b[0], law.c[0]) == pytest.approx((a, b, c), rel=1e-3)
    assert law.at(X)[0] == pytest.approx(times_of(a, b, c), rel=1e-5)


@given(milliseconds, shares)
@settings(max_examples=40, deadline=None)
def test_exact_straight_lines_give_theirs_back_and_are_chosen(middle_s, share):
    a, b = parts(middle_s, share, 1.0)
    times = times_of(a, b, 1.0)
    law = fit(Form.LINEAR, X, times[None])
    assert (law.a[0], law.b[0], law.c[0]) == pytest.approx((a, b, 1.0), rel=1e-5)
    assert choose(X, times) is Form.LINEAR


@given(milliseconds, st.floats(0.1, 2.9), st.sampled_from([Form.POWER, Form.FULL]))
@settings(max_examples=40, deadline=None)
def test_exact_powers_have_no_constant_part(b, c, form):
    law = fit(form, X, times_of(0.0, b, c)[None])
    assert (law.b[0], law.c[0]) == pytest.approx((b, c), rel=1e-4)
    assert law.a[0] == pytest.approx(0, abs=1e-5 * b)


@given(milliseconds, st.integers(3, 5))
@settings(max_examples=20, deadline=None)
def test_times_that_stay_have_the_constant_law(time_s, points):
    times = np.full(points, time_s)
    assert choose(X[:points], times) is Form.CONSTANT
    for form in Form:
        law = fit(form, X[:points], times[None])
        assert (law.a[0], law.b[0]) == pytest.approx((time_s, 0.0))


def test_times_that_fall_have_the_constant_law():
    times = times_of(0.0, 1.0, -0.5)
    assert choose(X, times) is Form.CONSTANT
    assert fit(Form.FULL, X, times[None]).b[0] == 0


@given(st.lists(st.floats(1e-4, 1.0), min_size=5, max_size=5), st.sampled_from(list(Form)))
@settings(max_examples=40, deadline=None)
def test_milliseconds_and_seconds_have_the_same_law(times, form):
    """Scale equivariance: a and b are 1000 times as large, the exponent and the choice stay."""
    times = np.array(times)
    small, large = fit(form, X, times[None]), fit(form, X, 1000 * times[None])
    assert large.at(X) == pytest.approx(1000 * small.at(X), rel=1e-4)
    assert choose(X, times) is choose(X, 1000 * times)
    if form in (Form.CONSTANT, Form.POWER):
        assert 1000 * small.a[0] == pytest.approx(large.a[0], rel=1e-6)
        assert 1000 * small.b[0] == pytest.approx(large.b[0], rel=1e-6)
        assert small.c[0] == pytest.approx(large.c[0], rel=1e-6)


@given(milliseconds, shares, exponents)
@settings(max_examples=20, deadline=None)
def test_another_unit_of_time_leaves_the_exponent(middle_s, share, c):
    noisy = times_of(*parts(middle_s, share, c), c) * np.array([1.01, 0.98, 1.02, 0.99, 1.0])
    small, large = fit(Form.FULL, X, noisy[None]), fit(Form.FULL, X, 1000 * noisy[None])
    assert large.c[0] == pytest.approx(small.c[0], rel=1e-3)
    assert (large.a[0], large.b[0]) == pytest.approx((1000 * small.a[0], 1000 * small.b[0]), rel=1e-2, abs=1e-3)


@given(st.lists(st.floats(-1.5, 1.5), min_size=5, max_size=5), milliseconds, shares, exponents)
@settings(max_examples=30, deadline=None)
def test_no_start_of_a_general_solver_finds_a_smaller_error(noise, middle_s, share, c):
    """Against scipy's bounded least squares on the same residuals, from several starts."""
    logs = np.log(times_of(*parts(middle_s, share, c), c)) + np.array(noise)

    def residuals(parameters):
        log_a, log_b, exponent = parameters
        return np.logaddexp(log_a, log_b + exponent * np.log(X)) - logs

    bounds = ([-60, -60, LEAST_EXPONENT], [20, 20, MOST_EXPONENT])
    starts = [(logs.min() - one, logs.min() - one, other) for one in (0.0, 3.0) for other in (0.3, 1.0, 2.0)]
    best = min(2 * least_squares(residuals, start, bounds=bounds).cost for start in starts)
    found = np.log(fit(Form.FULL, X, np.exp(logs)[None]).at(X)[0]) - logs
    assert (found**2).sum() <= best * 1.001 + 1e-9


def test_rows_are_fitted_each_for_itself():
    rows = np.stack([times_of(1.0, 0.1, c) for c in (0.5, 1.0, 2.0)])
    together = fit(Form.FULL, X, rows)
    assert together.c == pytest.approx([0.5, 1.0, 2.0], rel=1e-3)
    for row, times in enumerate(rows):
        assert fit(Form.FULL, X, times[None]).at(X)[0] == pytest.approx(together.at(X)[row], rel=1e-6)


def test_three_points_have_two_parameters_at_most():
    times = times_of(5.0, 0.1, 1.8)[:3]
    assert PARAMETERS[choose(X[:3], times)] == 2
    assert choose(X, times_of(5.0, 0.1, 1.8)) is Form.FULL


def test_growth_within_the_noise_is_no_growth():
    times = np.array([1.0, 1.02, 1.01, 1.03, 1.04])
    assert choose(X, times, noise=0.02) is Form.CONSTANT
    assert choose(X, times, noise=0.0) is not Form.CONSTANT


def test_what_cannot_be_fitted_is_told():
    times = np.array([[1.0, 0.0, 2.0, np.nan, np.inf], [1.0, 1.0, -1.0, 1.0, 1.0]])
    assert usable(X, times).tolist() == [True, False, False, False, False]
    assert usable(np.array([1.0, 0.0, np.nan]), np.ones((2, 3))).tolist() == [True, False, False]
    assert not has_law(X[:2])
    assert not has_law(np.array([4.0, 4.0, 8.0]))
    assert has_law(X[:3])


def test_equal_values_give_the_mean_level():
    same = np.full(3, 7.0)
    for form in Form:
        law = fit(form, same, np.array([[1.0, 2.0, 4.0]]))
        assert (law.a[0], law.b[0], law.c[0]) == pytest.approx((2.0, 0.0, 0.0))
    assert choose(np.array([1.0, 1.0, 4.0, 16.0]), np.array([1.0, 1.0, 4.0, 16.0])) is Form.LINEAR


def test_laws_side_by_side_are_evaluated_side_by_side():
    laws = Laws(Form.FULL, np.array([1.0, 0.0]), np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    assert laws.at(np.array([1.0, 10.0])).tolist() == [[3.0, 21.0], [3.0, 300.0]]


def noisy_latency(median_s, rng, turns=10, each=12):
    samples = median_s * np.exp(np.repeat(rng.normal(0, 0.05, turns), each) + rng.normal(0, 0.1, turns * each))
    numbers = np.repeat(np.arange(turns), each).tolist()
    return make_latency().model_copy(update={"samples_s": samples.tolist(), "turns": numbers})


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Turns that differ by 5 %, samples by 10 %: a bootstrap over ten turns covers a little less than 95 %."""
    truth, rounds = {"a": 5e-3, "b": 1e-3, "c": 0.8}, 60
    covered = dict.fromkeys(truth, 0)
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        cases = [(str(row), noisy_latency(time, rng)) for row, time in enumerate(times_of(**truth))]
        laws = fit(Form.FULL, X, medians_side_by_side(cases, seed=seed)[:500])
        for name, value in truth.items():
            low, high = np.percentile(getattr(laws, name), [2.5, 97.5])
            covered[name] += low <= value <= high
    assert all(0.8 * rounds <= count <= rounds for count in covered.values()), covered
    assert sum(covered.values()) < 3 * rounds, "intervals that always cover are too wide"
