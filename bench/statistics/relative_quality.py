"""By which share the quality of one evaluation differs from another's, user by user."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from bench.records.record import Quality
from bench.statistics.quality import RESAMPLES, per_user


@dataclass(frozen=True)
class Change:
    """Relative change of a mean over users, as a share, with its 95 % bootstrap interval.

    Attributes:
        value: Ratio of means minus 1.
        low: 2.5th percentile over resampled users, the same ones for both means.
        high: 97.5th.

    """

    value: float
    low: float
    high: float


def relative_change(other: Quality, base: Quality, metric: str = "NDCG@10", *, seed: int = 0) -> Change | None:
    """Compare two evaluations of the same users by the ratio of their means.

    Args:
        other: The numerator.
        base: The denominator.
        metric: One of `bench.statistics.quality.METRICS`.
        seed: Seed of the resampling.

    Returns:
        None where the users are not the same, where their targets' places are not known, or where `base` finds too few
        targets to divide by.

    """
    first, second = per_user(other, metric), per_user(base, metric)
    same = (other.users, other.split, other.seen) == (base.users, base.split, base.seen)
    if first is None or second is None or not same or not second.any():
        return None
    value = float(first.mean() / second.mean()) - 1
    if np.array_equal(first, second):
        return Change(value, value, value)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # draws without a target are told by the result
        found = stats.bootstrap(
            (first, second),
            _change_of_means,
            n_resamples=RESAMPLES,
            batch=50,
            paired=True,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return Change(value, low, high) if math.isfinite(low) and math.isfinite(high) else None


def _change_of_means(first: Any, second: Any, axis: int = -1) -> Any:
    return first.mean(axis) / second.mean(axis) - 1
