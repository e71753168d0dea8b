"""The highest rate that keeps an objective: by doubling, then by bisection, for the best window and largest batch.

Four steps: a rough search with no window and the largest batch; every other batch and window is then tried at a rate
that the best one so far missed, and takes its place only where it keeps the objective there; then each draw of
arrivals is bisected on its own, for an interval (from rates a part of a step apart, or equal ones would hide how
coarse the steps are); then rates on both sides of the result are tried in full, which makes the curves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.records.load import Offered, Peak, Trial, Verdict
from bench.statistics.intervals import Interval
from bench.statistics.objectives import over_seeds

ROUGH, FINE = 1.25, 1.06
"""How far apart a rate that keeps the objective and one that misses it may lie when bisection ends."""

STEP = 2.0
"""By what the rate is multiplied until one is missed."""

LOWEST = 1 / 64
"""Share of what one request at a time amounts to, below which no rate is tried."""

FRACTIONS = (0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
"""Rates of the curves, as shares of the highest rate."""


@dataclass(frozen=True)
class Batching:
    """How batches are formed."""

    window_ms: float
    largest: int


Run = Callable[[float, int, Batching], Trial]
"""Tries a rate with a seed of arrivals, and ends as soon as the objective is missed."""


@dataclass
class Search:
    """Looks for the highest rate.

    Attributes:
        run: Tries a rate.
        offered: Windows, batches, seeds.
        start: Rate to begin with, a second: what one request at a time amounts to.
        time_is_up: Whether no further trial may begin.
        trials: All that were run.

    """

    run: Run
    offered: Offered
    start: float
    time_is_up: Callable[[], bool]
    trials: list[Trial] = field(default_factory=list)

    def find(self) -> Peak:
        """Return the highest rate, with the window and the largest batch that gave it."""
        best = Batching(min(self.offered.windows_ms), max(self.offered.largest_batches))
        rough = self._highest(best, 0, self.start, step=STEP, within=ROUGH)
        if rough is None:
            least = min(trial.rate or math.inf for trial in self.trials)
            why = f"{least:.3g} a second, the least that was tried, does not keep {self.offered.slo}"
            bounds: dict[str, Any] = {"rate": 0, "low": 0, "high": 0}
            if least > self.start * LOWEST * STEP:
                bounds, why = {"rate": None, "low": 0, "high": least}, f"the search ran out of time: {why}"
            return Peak(**bounds, window_ms=best.window_ms, largest_batch=best.largest, why=why)
        for change in self._others(best):
            if self.time_is_up():
                break
            other = self._with(best, change)
            if self._kept(rough * ROUGH, 0, other):
                best = other
                rough = self._highest(best, 0, rough * ROUGH, step=ROUGH, within=ROUGH) or rough * ROUGH
        rates: list[float] = []
        for seed in range(self.offered.seeds):
            near, step = (rates[-1] * FINE ** (seed / self.offered.seeds), FINE) if rates else (rough, ROUGH)
            rate = None if self.time_is_up() else self._highest(best, seed, near, step=step, within=FINE)
            rates += [] if rate is None else [rate]
        return self._peak(best, rates or [rough], refined=bool(rates))

    def _peak(self, best: Batching, rates: list[float], *, refined: bool) -> Peak:
        interval = over_seeds(rates)
        missed = min((rate for rate in self._missed(best) if rate > rates[0]), default=None)
        if len(rates) == 1:  # one draw shows no spread: between what was kept and what was missed
            interval = Interval(rates[0], rates[0], missed or rates[0])
        notes = []
        if not refined:
            notes.append("the search ran out of time" + ("" if missed else ": no higher rate was missed"))
        elif len(rates) < self.offered.seeds:
            notes.append(f"the search ran out of time: {len(rates)} of {self.offered.seeds} draws of arrivals")
        if unsure := sum(trial.verdict is Verdict.OPEN for trial in self.trials):
            notes.append(f"{unsure} of {len(self.trials)} trials had too few requests and went by their share")
        if late := sum(bool(trial.invalid) for trial in self.trials):
            notes.append(f"in {late} of {len(self.trials)} trials the client was late, at the service's expense")
        return Peak(
            rate=interval.value,
            low=interval.low,
            high=interval.high,
            by_seed=rates,
            window_ms=best.window_ms,
            largest_batch=best.largest,
            why="; ".join(notes),
        )

    def _missed(self, batching: Batching) -> list[float]:
        """Return the rates that were missed with a window and a largest batch."""
        asked = (batching.window_ms, batching.largest)
        return [
            trial.rate
            for trial in self.trials
            if trial.rate is not None and (trial.window_ms, trial.largest_batch) == asked and not self._keeps(trial)
        ]

    def _others(self, first: Batching) -> Iterator[Batching]:
        """Yield what else batches could be: one thing changed at a time, batches before windows."""
        for largest in sorted(self.offered.largest_batches, reverse=True):
            if largest != first.largest:
                yield Batching(-1, largest)
        for window_ms in sorted(self.offered.windows_ms):
            if window_ms != first.window_ms:
                yield Batching(window_ms, -1)

    @staticmethod
    def _with(best: Batching, change: Batching) -> Batching:
        window_ms = best.window_ms if change.window_ms < 0 else change.window_ms
        return Batching(window_ms, best.largest if change.largest < 0 else change.largest)

    def _highest(self, batching: Batching, seed: int, start: float, *, step: float, within: float) -> float | None:
        return highest(
            lambda rate: self._kept(rate, seed, batching),
            start,
            step=step,
            within=within,
            least=self.start * LOWEST,
            time_is_up=self.time_is_up,
        )

    def _kept(self, rate: float, seed: int, batching: Batching) -> bool:
        trial = self.run(rate, seed, batching)
        self.trials.append(trial)
        return self._keeps(trial)

    def _keeps(self, trial: Trial) -> bool:
        if trial.saturated:
            return False
        if trial.verdict is Verdict.OPEN:
            return trial.within is not None and trial.within >= self.offered.slo.percentile / 100
        return trial.verdict is Verdict.MET


def highest(
    kept: Callable[[float], bool],
    start: float,
    *,
    step: float,
    within: float,
    least: float,
    time_is_up: Callable[[], bool],
) -> float | None:
    """Return a rate that is kept, so near below one that is not; None where none is.

    Args:
        kept: Tells whether a rate keeps the objective.
        start: The first one.
        step: By what it is multiplied or divided until one is kept and one is not.
        within: Their ratio, at most, when bisection ends.
        least: No rate below is tried.
        time_is_up: Tells whether to end with what is known.

    """
    low, high = 0.0, math.inf
    rate = start
    while not (low and high < math.inf):
        if kept(rate):
            low, rate = rate, rate * step
        else:
            high, rate = rate, rate / step
        if rate < least or time_is_up():
            break
    while low and high / low > within * (1 + 1e-9) and not time_is_up():
        middle = math.sqrt(low * high)
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low or None
