"""Intervals of what is computed from several estimates that each have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


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
    logs = [Interval(*(float(np.log(end)) for end in (one.value, one.low, one.high))) for one in ratios]
    mean = weighted_sum(logs, [1 / len(logs)] * len(logs))
    return Interval(*(float(np.exp(end)) for end in (mean.value, mean.low, mean.high)))
