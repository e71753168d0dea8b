"""Numbers with their 95 % intervals: from samples by the bootstrap, and from estimates that have one already."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 1000

Floats = NDArray[np.float64]


class Estimated(Protocol):
    """A ratio, a metric, a difference: a number with its 95 % interval."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Attributes:
        value: The estimate.
        low: The lower end.
        high: The upper end.

    """

    value: float
    low: float
    high: float


def bootstrap(
    *samples: Floats,
    statistic: Callable[..., Any] = np.mean,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return a statistic with its percentile-bootstrap interval (Efron 1979).

    Args:
        samples: Values [N]; several are paired, and resampled together.
        statistic: Computes the number from all samples, over their last axis.
        resamples: How often.
        seed: Seed of the resampling.

    Returns:
        An interval of no width where nothing varies; ends that are not finite where the statistic is not so in
        some resamples.

    """
    value = float(statistic(*samples, axis=-1))
    if all(len(values) < 2 or np.ptp(values) == 0 for values in samples):  # noqa: PLR2004 - nothing to resample
        return Interval(value, value, value)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # the ends tell it
        limits = stats.bootstrap(
            samples,
            statistic,
            n_resamples=resamples,
            batch=50,
            paired=len(samples) > 1,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(value, float(limits.low), float(limits.high))


def weighted_sum(parts: Sequence[Estimated], weights: Sequence[float]) -> Interval:
    """Return the sum of independent estimates, each times its weight.

    The "method of variance estimates recovery" (Zou and Donner 2008, "Construction of confidence limits about effect
    measures", Statistics in Medicine 27): each end of an interval stands for the spread on its side, and spreads add
    like variances. Estimates that vary together, such as two means over the same users, differ by less than it says.

    Args:
        parts: The estimates.
        weights: One an estimate; a negative one subtracts.

    """
    factors = np.array(weights, dtype=np.float64)
    values, lows, highs = (np.array([getattr(part, end) for part in parts]) for end in ("value", "low", "high"))
    values, ends = factors * values, np.sort(np.stack([factors * lows, factors * highs]), axis=0)
    value = float(values.sum())
    below, above = (float(np.sqrt(((values - end) ** 2).sum())) for end in ends)
    return Interval(value, value - below, value + above)


def geometric_mean(ratios: Sequence[Estimated]) -> Interval:
    """Return the geometric mean of independent ratios: the exponential of the mean logarithm."""
    logs = [Interval(*(float(np.log(end)) for end in (ratio.value, ratio.low, ratio.high))) for ratio in ratios]
    mean = weighted_sum(logs, [1 / len(logs)] * len(logs))
    return Interval(*(float(np.exp(end)) for end in (mean.value, mean.low, mean.high)))
