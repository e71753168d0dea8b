"""Comparing the quality of two evaluations user by user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.records.record import Quality
from bench.statistics import ranks as ranking
from bench.statistics.ranks import Floats, Ranks

CUTOFF = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Difference:
    """How much better one recommender ranks the same users' targets than another, in NDCG@10.

    Attributes:
        value: Mean over users of the difference.
        low: 2.5th percentile of means of resampled users.
        high: 97.5th.
        p_value: p-value of a paired t-test over users, two-sided; 1 where no user differs.

    """

    value: float
    low: float
    high: float
    p_value: float


METRICS: dict[str, Callable[[Ranks, int], Floats]] = {
    f"HR@{CUTOFF}": ranking.hit_rate,
    f"NDCG@{CUTOFF}": ranking.ndcg,
}
"""What can be compared user by user."""


def per_user(quality: Quality, metric: str = "NDCG@10") -> Floats | None:
    """Return each user's metric [U], one of `METRICS`; None where the record does not say where all targets stand."""
    hits = quality.hits
    if hits is None or quality.cutoff < CUTOFF:
        return None
    found = np.array(hits.rows, dtype=np.int64)
    better = np.full(quality.users, -1, dtype=np.int64)
    tied = np.zeros(quality.users, dtype=np.int64)
    better[found], tied[found] = hits.better, hits.tied
    return METRICS[metric](Ranks(better, tied), CUTOFF)


def quality_difference(better: Quality, worse: Quality, *, seed: int = 0) -> Difference | None:
    """Compare two evaluations of the same users; None where they are not, or where targets' places are not known."""
    first, second = per_user(better), per_user(worse)
    same = (better.users, better.split, better.seen) == (worse.users, worse.split, worse.seen)
    if first is None or second is None or not same:
        return None
    gaps = first - second
    if np.ptp(gaps) == 0:
        return Difference(float(gaps.mean()), float(gaps.mean()), float(gaps.mean()), 1.0)
    found = stats.bootstrap(
        (gaps,), np.mean, n_resamples=RESAMPLES, batch=50, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    p_value = float(stats.ttest_1samp(gaps, 0.0).pvalue)
    return Difference(float(gaps.mean()), float(found.low), float(found.high), p_value)
