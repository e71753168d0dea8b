"""Trials of one case: which requests each gets, what the device draws meanwhile, and what an interruption spares."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.measure.energy import Counter, CounterError, find_counter
from bench.measure.outcome import Step
from bench.records.load import Offered, Trial
from bench.records.model import Unavailable
from bench.service.arrivals import Seconds, poisson
from bench.service.asked import Heard
from bench.service.peak import Batching
from bench.service.service import DRAIN_S, START_S, Service
from bench.service.trial import summarise
from bench.statistics.objectives import requests_needed

MOST_REQUESTS = 60_000
"""Most requests of one trial: the queue holds hardly more, and all may be sent at once."""

SPARE = 1.3
"""How many more requests than an objective needs at least are sent: some will be late."""

STRETCH = 4
"""By what a trial may be longer than asked for, to get as many requests as its objective needs."""

INVALID_TRIES = 2
"""How often a trial is tried whose client was late."""


@dataclass
class Session:
    """A running service, and what is asked of it.

    Attributes:
        service: Answers.
        offered: What is asked of it.
        step: Told before each trial.
        recall, keep: See `bench.measure.latency.TimingPlan`.
        progress: Told what goes on.
        request_s: What one user takes who asks alone.

    """

    service: Service
    offered: Offered
    step: Step
    recall: Callable[[object], Any]
    keep: Callable[[object, Any], None]
    progress: Callable[[str], None]
    request_s: float
    began: float = field(default_factory=time.monotonic)
    _counter: Counter | None = None

    def __post_init__(self) -> None:
        counter = find_counter(self.service.subject.device)
        self._counter = None if isinstance(counter, Unavailable) else counter

    def time_is_up(self) -> bool:
        """Tell whether a search should end."""
        return time.monotonic() - self.began > self.offered.search_s

    def briefly(self, rate: float, seed: int, batching: Batching) -> Trial:
        """Try a rate, at most until the objective is missed; what an interrupted run tried is not tried again."""
        key = [self.service.subject.name, rate, seed, batching.window_ms, batching.largest]
        if (recalled := self.recall(key)) is not None:
            return Trial.model_validate(recalled)
        arrivals = poisson(rate, count=self.count(rate), seed=seed)
        for _ in range(INVALID_TRIES):
            trial, _ = self.tried(arrivals, batching, rate=rate, seed=seed, early=True)
            if not trial.invalid:
                break
        self.keep(key, trial.model_dump(mode="json"))
        return trial

    def wholly(self, rate: float, seed: int, batching: Batching, *, stretched: bool = True) -> tuple[Trial, Heard]:
        """Try a rate for as long as was asked for, whatever comes of it.

        Args:
            rate: Requests a second.
            seed: Seed of the arrivals.
            batching: How batches are formed.
            stretched: Whether it may be longer, to have as many requests as the objective needs.

        """
        count = self.count(rate) if stretched else max(1, min(MOST_REQUESTS, math.ceil(rate * self.offered.seconds)))
        return self.tried(poisson(rate, count=count, seed=seed), batching, rate=rate, seed=seed)

    def count(self, rate: float) -> int:
        """Return how many requests a trial gets: those of its seconds, or as many as its objective needs."""
        needed = SPARE * requests_needed(self.offered.slo)
        wanted = max(rate * self.offered.seconds, min(needed, rate * self.offered.seconds * STRETCH))
        return max(1, min(MOST_REQUESTS, math.ceil(wanted)))

    def tried(
        self, arrivals: Seconds, batching: Batching, *, rate: float | None, seed: int = 0, early: bool = False
    ) -> tuple[Trial, Heard]:
        """Send requests, and return what became of them, in short and as heard.

        Args:
            arrivals: When they are sent, in seconds from the start.
            batching: How batches are formed.
            rate: What `arrivals` were drawn with.
            seed: See `rate`.
            early: Whether to end when the objective is missed.

        """
        what = f"{len(arrivals):,} requests at once" if rate is None else f"{rate:.3g} requests a second"
        name, slo = self.service.subject.name, self.offered.slo
        limit_s = float(arrivals[-1]) + 2 * START_S + DRAIN_S
        before = self._joules()
        with self.step(name, f"answering {what}", limit_s):
            heard = self.service.ask(
                arrivals, slo, window_s=batching.window_ms / 1e3, largest=batching.largest, early=early
            )
        after = self._joules()
        drawn = None if before is None or after is None else after - before
        trial = summarise(
            heard, slo, rate=rate, seed=seed, window_s=batching.window_ms / 1e3, largest=batching.largest, joules=drawn
        )
        said = f", window {batching.window_ms:g} ms, {batching.largest} at most: {trial.verdict.value}"
        self.progress(f"{name.partition(' | ')[0]}: {what}{said}{f' ({trial.invalid})' if trial.invalid else ''}")
        return trial, heard

    def _joules(self) -> float | None:
        with suppress(CounterError):
            return None if self._counter is None else self._counter.joules()
        return None
