"""Warming up until times no longer fall."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from bench.measure.clock import Clock
from bench.measure.subject import Subject

LONG_S = 0.5
"""A request this long fills the caches itself: one of them is warm-up enough."""

HALF_S, LEAST = 0.05, 4
"""How long a half is: in seconds, and in requests at least."""

SETTLED = 0.95
"""The later half takes at least this share of the earlier one's time, or times still fall."""

MOST_S = 2.0


@dataclass(frozen=True)
class WarmUp:
    """How a recommender was warmed up.

    Attributes:
        rounds: Untimed requests.
        request_s: Median seconds of the last ones.
        stationary: Whether times no longer fell at the end; None where one long request was all.

    """

    rounds: int
    request_s: float
    stationary: bool | None


def warm_up(subject: Subject, clock: Clock, *, most_s: float = MOST_S) -> WarmUp:
    """Ask the same requests again and again until they take no less time than they took before.

    What compiles does so first, for every request. Then halves of equal requests are compared: the
    machine's clock rises, caches fill, allocators learn, and each shows in a later half that is
    faster than the one before it.

    Args:
        subject: What is warmed up.
        clock: Clock of its device.
        most_s: When to stop though times still fall; one pair of halves is run in any case.

    """
    asked = 0
    if subject.recommender.compiles:
        for number in range(len(subject.batches)):
            subject.request(number)
        asked = len(subject.batches)
    start = time.perf_counter()
    first = _seconds(subject, clock, 1)
    if first > LONG_S:
        return WarmUp(asked + 1, first, None)
    half = max(LEAST, math.ceil(HALF_S / max(first, 1e-6)))
    before, rounds = _seconds(subject, clock, half), asked + 1 + half
    while True:
        after, rounds = _seconds(subject, clock, half), rounds + half
        if after >= SETTLED * before:
            return WarmUp(rounds, after, stationary=True)
        if time.perf_counter() - start > most_s:
            return WarmUp(rounds, after, stationary=False)
        before = after


def _seconds(subject: Subject, clock: Clock, requests: int) -> float:
    """Return the median seconds of the first `requests` requests."""
    timed = [clock.time(lambda number=number: subject.request(number))[1] for number in range(requests)]  # type: ignore[misc]
    return float(np.median([request.wall_s for request in timed]))
