"""Is head slower than base? Statistics on processes that were measured in pairs.

The unit of replication is the process: two processes of the same code differ (memory layout, what
the machine did meanwhile), and samples of one process are no independent witnesses of the code. Of the
processes of identical code that are recorded in the tests, five pooled against five others differ at
p < .05 in a third (batch 16) to two thirds (batch 1) of draws.

The two processes of a pair are alive together and take turns, so a turn's samples of both sides saw
the same machine. With m(c, t) the median over the samples of side c in turn t, a pair's estimate is
the median over turns of log m(head, t) - log m(base, t), and the ratio is the exponential of the mean
over pairs. Its interval is a hierarchical bootstrap: pairs are drawn with replacement, within each its
turns; percentiles are widened for few pairs as by Hesterberg (2015, "What Teachers Should Know About
the Bootstrap", section on expanded percentiles). P-values are Student's over pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.records.gate import Estimate, Process, Verdict

Floats = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
P95_ROUNDS = 100

RISK = 0.02
"""Chance, over all cases and all looks of one gate, of a SLOWER (and as much of a FASTER) where nothing changed."""

SAME_RISK = 0.05
"""Chance, a case and look, of a SAME where the difference is as large as the margin."""

POWER = 0.8

LEAST_PAIRS = 5
"""Fewer, and a rank test could never tell two sides apart at p < .05, and Student's rests on nothing."""


@dataclass(frozen=True)
class ProcessComparison:
    """Head against base of one case, before cases are looked at together.

    Attributes:
        estimate: Interval of the ratio.
        p_slower: Against "no slower", one-sided.
        p_faster: Against "no faster", one-sided.
        p_different: Against "differs by the margin or more" (two one-sided tests).
        spread: Standard deviation of the pairs' log ratios.
        pairs: How many.

    """

    estimate: Estimate
    p_slower: float
    p_faster: float
    p_different: float
    spread: float
    pairs: int


def turn_log_ratios(top: Process, bottom: Process, *, percentile: float = 50) -> Floats:
    """Return log(median of top / median of bottom) of each turn that both took, [T]; or of another percentile."""
    above, below = _turn_percentiles(top, percentile), _turn_percentiles(bottom, percentile)
    common = sorted(above.keys() & below.keys())
    return np.array([np.log(above[turn]) - np.log(below[turn]) for turn in common])


def _turn_percentiles(process: Process, percentile: float) -> dict[int, float]:
    samples, turns = np.array(process.samples_s), np.array(process.turns)
    order = np.argsort(turns, kind="stable")
    numbers, starts = np.unique(turns[order], return_index=True)
    parts = np.split(samples[order], starts[1:])
    return {int(turn): float(np.percentile(part, percentile)) for turn, part in zip(numbers, parts, strict=True)}


def compare_pairs(
    tops: Sequence[Process], bottoms: Sequence[Process], *, margin: float, percentile: float = 50, seed: int = 0
) -> ProcessComparison:
    """Compare processes that were measured in pairs.

    Args:
        tops: Samples of the side that is judged, a process a pair.
        bottoms: Samples of the other side, in the same order.
        margin: Share by which times may differ and still be the same.
        percentile: Percentile of each turn's samples that is compared.
        seed: Seed of the bootstrap.

    """
    turns = [turn_log_ratios(*pair, percentile=percentile) for pair in zip(tops, bottoms, strict=True)]
    logs = np.array([np.median(turn) for turn in turns])
    low, high = _interval(turns, np.random.default_rng(seed))
    mean = float(logs.mean())
    estimate = _estimate(mean, low, high)
    pairs, spread = len(logs), float(logs.std(ddof=1))
    error = spread / np.sqrt(pairs)
    return _tested(estimate, mean, float(error), spread, pairs - 1, margin, pairs)


def compare_with_stored(
    tops: Sequence[Process], stored: Sequence[Process], *, margin: float, percentile: float = 50
) -> ProcessComparison:
    """Compare processes with those of an earlier run, which took no turns with them.

    On the log scale, by Welch's test over the processes' medians; of a run that was a single process the
    spread between processes is not known and is taken to be that of the new ones.

    Args:
        tops: Samples of the side that is judged, at least two.
        stored: Samples of the earlier run.
        margin: See `compare_pairs`.
        percentile: Percentile of each process's samples that is compared.

    """
    above, below = (
        np.log([np.percentile(process.samples_s, percentile) for process in side]) for side in (tops, stored)
    )
    mean = float(above.mean() - below.mean())
    spread = float(above.std(ddof=1))
    first = above.var(ddof=1) / len(above)
    if len(below) > 1:
        second = below.var(ddof=1) / len(below)
        degrees = (first + second) ** 2 / (first**2 / (len(above) - 1) + second**2 / (len(below) - 1))
    else:
        second, degrees = above.var(ddof=1), len(above) - 1
    error = float(np.sqrt(first + second))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * error
    estimate = _estimate(mean, mean - half, mean + half)
    return _tested(estimate, mean, error, spread, float(degrees), margin, len(above))


def _tested(
    estimate: Estimate, mean: float, error: float, spread: float, degrees: float, margin: float, pairs: int
) -> ProcessComparison:
    error = max(error, 1e-12)
    bound = np.log1p(margin)
    above, below = stats.t.sf((mean + bound) / error, degrees), stats.t.cdf((mean - bound) / error, degrees)
    return ProcessComparison(
        estimate=estimate,
        p_slower=float(stats.t.sf(mean / error, degrees)),
        p_faster=float(stats.t.cdf(mean / error, degrees)),
        p_different=float(max(above, below)),
        spread=spread,
        pairs=pairs,
    )


def _estimate(mean: float, low: float, high: float) -> Estimate:
    return Estimate(ratio=float(np.exp(mean)), low=float(np.exp(min(low, mean))), high=float(np.exp(max(high, mean))))


def _interval(turns: Sequence[Floats], rng: np.random.Generator) -> tuple[float, float]:
    """Return the ends of the hierarchical bootstrap of the mean log ratio."""
    pairs = len(turns)
    inner = np.stack([_resampled_medians(turn, rng) for turn in turns])  # [P, R]
    draws = rng.integers(pairs, size=(RESAMPLES, pairs))
    means = inner[draws, rng.integers(RESAMPLES, size=draws.shape)].mean(1)
    tail = float(stats.norm.cdf(-np.sqrt(pairs / (pairs - 1)) * stats.t.ppf(0.5 + CONFIDENCE / 2, pairs - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_medians(values: Floats, rng: np.random.Generator) -> Floats:
    medians: Floats = np.median(values[rng.integers(len(values), size=(RESAMPLES, len(values)))], axis=1)
    return medians


def tail_ratio(tops: Sequence[Process], bottoms: Sequence[Process], *, percentile: float = 95) -> Estimate | None:
    """Compare a percentile over each process's samples; None where a process has too few rounds for it.

    The interval is Student's over the pairs' log ratios.
    """
    if min(len(process.samples_s) for process in (*tops, *bottoms)) < P95_ROUNDS:
        return None
    above, below = (
        np.log([np.percentile(process.samples_s, percentile) for process in side]) for side in (tops, bottoms)
    )
    logs = above - below
    mean = float(logs.mean())
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
    return _estimate(mean, mean - half, mean + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for several tests (Holm 1979): the family-wise error stays below the level compared with."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return [float(value) for value in adjusted]


def risk_at(look: int) -> float:
    """Return what of `RISK` is spent at a look, counted from 0; over however many looks it adds up to less.

    More pairs are taken while nothing can be said, and each look is another chance to be wrong: the shares
    6 / (pi (look + 1))^2 add up to one.
    """
    return RISK * 6 / (np.pi * (look + 1)) ** 2


def decide(comparison: ProcessComparison, *, margin: float, p_slower: float, p_faster: float, risk: float) -> Verdict:
    """Give a verdict: SAME before all, since a difference within the margin is none to act on.

    A p-value and the interval must both say so.

    Args:
        comparison: Comparison of the case.
        margin: Share by which times may differ and still be the same.
        p_slower: Holm-adjusted.
        p_faster: Holm-adjusted.
        risk: That this look may run.

    """
    low, high = comparison.estimate.low, comparison.estimate.high
    if comparison.p_different < SAME_RISK and 1 / (1 + margin) < low and high < 1 + margin:
        return Verdict.SAME
    if p_slower < risk and low > 1:
        return Verdict.SLOWER
    if p_faster < risk and high < 1:
        return Verdict.FASTER
    return Verdict.AMBIGUOUS


def detectable(spread: float, pairs: int, *, risk: float, margin: float) -> float:
    """Return the least slow-down, as a share, that is called SLOWER with a chance of `POWER`.

    It must be told from nothing, and from what counts as the same.

    Args:
        spread: Standard deviation between pairs of the log ratio of two sides that do not differ.
        pairs: How many pairs there were.
        risk: At which a p-value counts.
        margin: Share by which times may differ and still be the same.

    """
    degrees, error = pairs - 1, spread / np.sqrt(pairs)
    power = stats.t.ppf(POWER, degrees)
    from_nothing = (stats.t.ppf(1 - risk, degrees) + power) * error
    from_the_same = np.log1p(margin) + (power - stats.t.ppf(1 - SAME_RISK, degrees)) * error
    return float(np.expm1(max(from_nothing, from_the_same)))
