"""By which share quality differs, and whether the interval means what it says."""

import numpy as np
import pytest

from bench.records.quality import Hits, Quality
from bench.statistics.quality import relative_change
from tests.bench.factories import make_quality, make_ranked_quality


def first_places(found, users=100) -> Quality:
    """Quality in which the users `found` have their target on top, and the others nowhere."""
    rows = sorted(found)
    hits = Hits(rows=rows, better=[0] * len(rows), tied=[1] * len(rows))
    return make_quality(len(rows) / users).model_copy(update={"users": users, "hits": hits})


def test_the_share_is_that_of_the_means():
    change = relative_change(first_places(range(30)), first_places(range(40)))
    assert change.value == pytest.approx(-0.25)
    assert change.low < -0.25 < change.high < 0


@pytest.mark.parametrize("metric", ["NDCG@10", "HR@10"])
def test_metrics_are_those_of_the_evaluation(metric):
    better, worse = make_ranked_quality(0.5), make_ranked_quality(0.3)
    expected = worse.metrics[metric].value / better.metrics[metric].value - 1
    assert relative_change(worse, better, metric).value == pytest.approx(expected)


def test_users_are_resampled_in_pairs():
    """Where users are alike in both, pairing leaves less to chance than drawing them apart."""
    paired = relative_change(first_places(range(38)), first_places(range(40)))
    apart = relative_change(first_places(range(50, 88)), first_places(range(40)))
    assert paired.high - paired.low < (apart.high - apart.low) / 2


def test_equal_quality_differs_by_nothing():
    quality = make_ranked_quality(0.4)
    change = relative_change(quality, quality)
    assert (change.value, change.low, change.high) == (0, 0, 0)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Users find their target with chances .4 and .3: of 40 intervals, at most 6 miss -25 %."""
    misses = 0
    for seed in range(40):
        draws = np.random.default_rng(seed).random(400)
        base, other = np.flatnonzero(draws < 0.4), np.flatnonzero(draws < 0.3)
        change = relative_change(first_places(other.tolist(), 400), first_places(base.tolist(), 400))
        misses += not change.low <= -0.25 <= change.high
    assert misses <= 6


@pytest.mark.parametrize(
    ("other", "base"),
    [
        (make_quality(0.1), make_ranked_quality(0.4)),
        (make_ranked_quality(0.4), make_quality(0.1)),
        (make_ranked_quality(0.4), make_ranked_quality(0.4, users=100)),
        (make_ranked_quality(0.4), make_ranked_quality(0.4, split="validation")),
        (first_places([1, 2]), first_places([])),
        (first_places([1, 2]), first_places([3])),
    ],
    ids=["no places", "no places of the base", "other users", "other split", "no target", "too few targets"],
)
def test_what_cannot_be_compared_is_not(other, base):
    assert relative_change(other, base) is None
