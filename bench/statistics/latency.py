"""Comparing the latency of two cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bench.records.cost import Latency
from bench.statistics.intervals import Interval

Floats = NDArray[np.float64]

RESAMPLES = 2000
LEAST_TURNS = 5
"""Fewer turns than these say too little of how turns vary."""


class Pairing(StrEnum):
    """How the samples of two cases belong together."""

    TURNS = "turns"
    """Timed side by side: equal turn numbers are equal times."""
    NONE = "none"
    """Timed in different runs: equal turn numbers mean nothing."""


@dataclass(frozen=True)
class Ratio(Interval):
    """How many times as long `slow` takes as `fast`: the ratio of medians."""

    @property
    def saved_percent(self) -> tuple[float, float, float]:
        """Time saved by the faster: 100 (1 - 1 / ratio), and its interval, in percent."""
        return (_saved(self.value), _saved(self.low), _saved(self.high))


@dataclass(frozen=True)
class Median:
    """The median time of a request with its 95 % bootstrap interval, in seconds.

    Attributes:
        value_s: Median over all samples.
        low_s: 2.5th percentile of the resampled medians.
        high_s: 97.5th.

    """

    value_s: float
    low_s: float
    high_s: float


def _saved(ratio: float) -> float:
    return 100 * (1 - 1 / ratio)


def latency_ratio(slow: Latency, fast: Latency, *, pairing: Pairing = Pairing.TURNS, seed: int = 0) -> Ratio:
    """Compare medians, resampling what varies together.

    Samples of one turn share the machine's state at that time, and the two cases took their turns
    side by side. So turns are resampled, the same for both cases, and the samples of the chosen
    turns are pooled (a cluster bootstrap, paired: Davison and Hinkley 1997, section 3.8). Of
    different runs, or without at least 5 turns in common, each case's turns are resampled for
    themselves, and of a case with fewer than 5 turns its samples one by one; that understates what
    differs between processes.

    With m(c) the median over all samples of case c, and m(c, T) the median over those of its samples
    whose turns are in the multiset T of as many turns, drawn with replacement::

        value = m(slow) / m(fast)
        low, high = 2.5th and 97.5th percentile over T of m(slow, T) / m(fast, T)

    Args:
        slow: The numerator.
        fast: The denominator.
        pairing: Whether the two were timed side by side.
        seed: Seed of the resampling.

    """
    rng = np.random.default_rng(seed)
    value = slow.p50_s / fast.p50_s
    common = sorted(set(slow.turns) & set(fast.turns))
    if pairing is Pairing.TURNS and len(common) >= LEAST_TURNS:
        draws = rng.integers(len(common), size=(RESAMPLES, len(common)))
        ratios = _turn_medians(slow, common, draws) / _turn_medians(fast, common, draws)
    else:
        ratios = _resampled_medians(slow, rng) / _resampled_medians(fast, rng)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Ratio(value, float(min(low, value)), float(max(high, value)))


def latency_median(latency: Latency, *, seed: int = 0) -> Median:
    """Return the median of one case; turns are resampled as in `latency_ratio` for cases of different runs.

    Args:
        latency: Latency of the case.
        seed: Seed of the resampling.

    """
    low, high = np.percentile(_resampled_medians(latency, np.random.default_rng(seed)), [2.5, 97.5])
    value = latency.p50_s
    return Median(value, float(min(low, value)), float(max(high, value)))


def medians_side_by_side(cases: Sequence[tuple[str, Latency]], *, seed: int = 0) -> Floats:
    """Return bootstrapped medians of many cases in seconds, [R, N]; a row is one resample of them all.

    As in `latency_ratio` turns are resampled, the same for cases of one start that took the same turns; each case's
    own where starts or turns differ; and of a case with fewer than 5 turns its samples one by one.

    Args:
        cases: When the run of each began, and its latency, [N].
        seed: Seed of the resampling.

    """
    rng = np.random.default_rng(seed)
    draws: dict[tuple[str, tuple[int, ...]], NDArray[np.int64]] = {}
    columns = []
    for started, latency in cases:
        turns = sorted(set(latency.turns))
        if len(turns) < LEAST_TURNS:
            columns.append(_resampled_medians(latency, rng))
            continue
        together = (started, tuple(turns))
        if together not in draws:
            draws[together] = rng.integers(len(turns), size=(RESAMPLES, len(turns)))
        columns.append(_turn_medians(latency, turns, draws[together]))
    return np.stack(columns, axis=1)


def _turn_medians(latency: Latency, turns: list[int], draws: NDArray[np.int64]) -> Floats:
    """Return the median over the samples of each draw's turns, [R]."""
    samples, numbers = np.array(latency.samples_s), np.array(latency.turns)
    order = np.argsort(samples, kind="stable")
    place = {turn: row for row, turn in enumerate(turns)}
    column = np.array([place.get(int(turn), -1) for turn in numbers[order]])
    kept, samples = column[column >= 0], samples[order][column >= 0]
    below = np.zeros((len(turns), len(kept) + 1), np.int32)  # samples of each turn up to a place, [turns, N + 1]
    below[kept, np.arange(1, len(kept) + 1)] = 1
    below = below.cumsum(1, dtype=np.int32)
    cells = np.arange(len(draws))[:, None] * len(turns) + draws
    counts = np.bincount(cells.ravel(), minlength=len(draws) * len(turns)).reshape(len(draws), -1)  # [R, turns]
    half = (counts @ below[:, -1] + 1) // 2
    low, high = np.zeros(len(draws), int), np.full(len(draws), len(kept) - 1)
    while (low < high).any():  # the first place with half of a draw's weight up to it, for all draws at once
        middle = (low + high) // 2
        reached = np.einsum("rt,tr->r", counts, below[:, middle + 1]) >= half
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    medians: Floats = samples[low]
    return medians


def _resampled_medians(latency: Latency, rng: np.random.Generator) -> Floats:
    """Return the medians of draws for one case alone: of turns, or of samples where turns are few, [R]."""
    turns = sorted(set(latency.turns))
    if len(turns) >= LEAST_TURNS:
        return _turn_medians(latency, turns, rng.integers(len(turns), size=(RESAMPLES, len(turns))))
    samples = np.array(latency.samples_s)
    medians: Floats = np.array([np.median(rng.choice(samples, len(samples))) for _ in range(RESAMPLES)])
    return medians
