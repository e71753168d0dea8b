"""Comparing the quality of two evaluations user by user."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from bench.records.quality import Quality
from bench.statistics import ranks as ranking
from bench.statistics.intervals import Interval, bootstrap
from bench.statistics.ranks import Floats, Ranks

CUTOFF = 10


@dataclass(frozen=True)
class Difference(Interval):
    """How much better one recommender ranks the same users' targets than another: a mean over users of NDCG@10.

    Attributes:
        p_value: p-value of a paired t-test over users, two-sided; 1 where no user differs.

    """

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
    listed = np.array(hits.rows, dtype=np.int64)
    better = np.full(quality.users, -1, dtype=np.int64)
    tied = np.zeros(quality.users, dtype=np.int64)
    better[listed], tied[listed] = hits.better, hits.tied
    return METRICS[metric](Ranks(better, tied), CUTOFF)


def quality_difference(better: Quality, worse: Quality) -> Difference | None:
    """Compare two evaluations of the same users; None where they are not, or where targets' places are not known."""
    pair = _paired(better, worse, "NDCG@10")
    if pair is None:
        return None
    gaps = pair[0] - pair[1]
    interval = bootstrap(gaps)
    p_value = float(stats.ttest_1samp(gaps, 0.0).pvalue) if np.ptp(gaps) else 1.0
    return Difference(interval.value, interval.low, interval.high, p_value)


def relative_change(other: Quality, base: Quality, metric: str = "NDCG@10") -> Interval | None:
    """Compare two evaluations of the same users by the ratio of their means, minus 1.

    Args:
        other: The numerator.
        base: The denominator.
        metric: One of `METRICS`.

    Returns:
        None where the users are not the same, where their targets' places are not known, or where `base` finds too few
        targets to divide by.

    """
    pair = _paired(other, base, metric)
    if pair is None or not pair[1].any():
        return None
    if np.array_equal(*pair):
        return Interval(0.0, 0.0, 0.0)
    interval = bootstrap(*pair, statistic=_change_of_means)
    return interval if math.isfinite(interval.low) and math.isfinite(interval.high) else None


def _paired(first: Quality, second: Quality, metric: str) -> tuple[Floats, Floats] | None:
    """Return each user's metric in both evaluations; None where they are not of the same users, or it is not known."""
    first_values, second_values = per_user(first, metric), per_user(second, metric)
    same = (first.users, first.split, first.seen) == (second.users, second.split, second.seen)
    return (first_values, second_values) if first_values is not None and second_values is not None and same else None


def _change_of_means(first: Any, second: Any, axis: int = -1) -> Any:
    return first.mean(axis) / second.mean(axis) - 1
