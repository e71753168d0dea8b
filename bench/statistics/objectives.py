"""Was a service-level objective kept? The binomial rule by which a trial may end early, and rates over seeds.

A percentile p is kept where at most a share 1 - p of all requests would take too long. Of n requests that were
judged k took too long. With X ~ Binomial(n, 1 - p):

    kept     where  P(X <= k) <= 1 - CONFIDENCE    so few would be an accident at the limit
    missed   where  P(X >= k) <= 1 - CONFIDENCE    so many would be one

This is the early-stopping criterion of MLPerf's LoadGen (`mlcommons/inference`, loadgen/early_stopping.cc): at 99 %
a p99 takes 459 requests of which none was late. Requests of one queue are late together, so it is a rule to stop by
and not an error probability; what a rate is worth is seen from several draws of arrivals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from bench.records.load import Slo, Verdict
from bench.statistics.intervals import Interval

CONFIDENCE = 0.99

BEYOND = 5
"""Samples beyond a percentile that it needs to be told."""


def judge(slo: Slo, judged: int, misses: int) -> Verdict:
    """Tell whether so many misses among so many requests decide for or against an objective."""
    if judged == 0:
        return Verdict.OPEN
    risk = 1 - CONFIDENCE
    if stats.binom.cdf(misses, judged, slo.allowed) <= risk:
        return Verdict.MET
    if misses and stats.binom.sf(misses - 1, judged, slo.allowed) <= risk:
        return Verdict.MISSED
    return Verdict.OPEN


def requests_needed(slo: Slo) -> int:
    """Return how many requests show that an objective is kept where none is late, and let its percentile be told."""
    return max(math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - slo.allowed)), math.ceil(BEYOND / slo.allowed))


def over_seeds(rates: Sequence[float]) -> Interval:
    """Return the geometric mean of rates and its 95 % interval: Student's over their logarithms; of one, no width."""
    logs = np.log(rates)
    mean = float(logs.mean())
    if len(logs) < 2:  # noqa: PLR2004 - nothing varies
        return Interval(math.exp(mean), math.exp(mean), math.exp(mean))
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
