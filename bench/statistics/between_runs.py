"""How far runs of the same code on the same machine lie apart, and what that leaves of a ratio between two runs.

What varies within a run, from turn to turn, says nothing of what differs from one run to the next: where the process
lies in memory, how warm the machine is, who its neighbours are. That is only seen where a case was run several times.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.statistics.latency import Median, Ratio

COVERAGE = 0.95


@dataclass(frozen=True)
class Spread:
    """How far medians of equal runs lie apart.

    Attributes:
        sd: Standard deviation of the logarithm of a run's median.
        freedom: Degrees of freedom that it was estimated with.

    """

    sd: float
    freedom: int


@dataclass(frozen=True)
class RunSide:
    """One of two runs that are held against each other.

    Attributes:
        median: Its median latency, with the interval that its own turns give.
        spread: Spread of runs like it; None where it is the only one.

    """

    median: Median
    spread: Spread | None


@dataclass(frozen=True)
class OneRunEach:
    """A ratio of two medians of which nobody knows how far equal runs lie apart.

    Attributes:
        value: The ratio.

    """

    value: float


def spread(medians: Mapping[Hashable, Iterable[float]]) -> Spread | None:
    """Estimate how far runs of the same code lie apart, over all code that was run more than once.

    The variance within each group, pooled over groups by their degrees of freedom, so that a change of the code counts
    as none of it.

    Args:
        medians: Median seconds of each run, by what makes runs equal.

    Returns:
        None where no code was run twice.

    """
    squares, freedom = 0.0, 0
    for group in medians.values():
        logs = np.log(list(group))
        squares += float(((logs - logs.mean()) ** 2).sum())
        freedom += len(logs) - 1
    return Spread(math.sqrt(squares / freedom), freedom) if freedom else None


def ratio_between_runs(slow: RunSide, fast: RunSide) -> Ratio | OneRunEach:
    """Return how many times as long one run takes as another, with an interval that holds what differs between runs.

    With the log ratio d of the two medians, and for each side the variance v of a run's log median, the larger of what
    equal runs and what its own turns show::

        exp(d ± t(0.975, f) sqrt(v1 + v2)),  f = (v1 + v2)² / (v1² / f1 + v2² / f2)

    f is Welch's and Satterthwaite's; where both sides have one spread it is that one's.

    Args:
        slow: The numerator.
        fast: The denominator.

    Returns:
        The ratio alone where a side is the only run of its kind.

    """
    value = slow.median.value_s / fast.median.value_s
    if slow.spread is None or fast.spread is None:
        return OneRunEach(value)
    first, second = (_variance(side, own_spread) for side, own_spread in ((slow, slow.spread), (fast, fast.spread)))
    if slow.spread == fast.spread:
        freedom = float(slow.spread.freedom)
    else:
        both = first**2 / slow.spread.freedom + second**2 / fast.spread.freedom
        freedom = (first + second) ** 2 / both if both else float(min(slow.spread.freedom, fast.spread.freedom))
    width = float(stats.t.ppf((1 + COVERAGE) / 2, freedom)) * math.sqrt(first + second)
    return Ratio(value, value * math.exp(-width), value * math.exp(width))


def _variance(side: RunSide, between_runs: Spread) -> float:
    """Return the variance of a run's log median: between equal runs, and at least what its turns show."""
    own = math.log(side.median.high_s / side.median.low_s) / (2 * float(stats.norm.ppf((1 + COVERAGE) / 2)))
    return max(between_runs.sd**2, own**2)


def mean_between_runs(ratios: Iterable[Ratio]) -> Ratio:
    """Return the geometric mean of ratios between the same two runs.

    All cases of a run share what was particular about it, so their errors do not cancel out: the mean is as uncertain
    as its cases are on average, as if all erred alike.
    """
    logs = np.log([[ratio.value, ratio.low, ratio.high] for ratio in ratios])
    value, low, high = np.exp(logs.mean(axis=0)).tolist()
    return Ratio(value, low, high)
