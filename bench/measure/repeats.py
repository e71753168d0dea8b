"""Is a user who asks again answered sooner? Then answers are kept, and times of repeated requests flatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from bench.measure.clock import Clock
from bench.measure.subject import Subject
from bench.records.conditions import Repeats
from bench.records.model import Unavailable
from bench.statistics.intervals import bootstrap
from models.catalogue import History

LEAST_PAIRS, MOST_PAIRS = 6, 32
SPENT_S = 2.0
"""How long to go on, about."""

TOO_LONG_S = 0.5

KEPT = 0.6
"""Answers count as kept where even the upper end of the ratio's interval lies below."""


def repeated_requests(subject: Subject, fresh: Sequence[Sequence[History]], clock: Clock) -> Repeats | Unavailable:
    """Ask for users that never asked before, and soon for each again.

    The second follows so soon that the machine is the same; before each timed request another one, of users
    that asked before, brings the processor's caches into the same state::

        (other) fresh 1 (other) again 1   (other) fresh 2 (other) again 2 ...       () untimed

    Args:
        subject: What is asked, warm.
        fresh: Requests of users that no request named so far.
        clock: Clock of its device.

    """
    if len(fresh) < LEAST_PAIRS:
        return Unavailable(unavailable=f"fewer than {LEAST_PAIRS} requests could be made of users who never asked")
    new = replace(subject, batches=fresh)
    _, timed = clock.time(lambda: subject.request(0))
    if timed.wall_s > TOO_LONG_S:
        return Unavailable(unavailable=f"a request takes {timed.wall_s:.2g} s: too long to ask twice as often")
    if subject.recommender.compiles:
        for batch, others in zip(fresh[:MOST_PAIRS], cycle(subject.batches)):
            replace(subject, batches=[_as_long(batch, others)]).request(0)
    pairs = int(np.clip(SPENT_S / (4 * max(timed.wall_s, 1e-6)), LEAST_PAIRS, min(MOST_PAIRS, len(fresh))))
    seconds = np.empty((2, pairs))
    for number in range(pairs):
        for asked in range(2):
            subject.request(2 * number + asked)
            _, timed = clock.time(lambda number=number: new.request(number))  # type: ignore[misc]
            seconds[asked, number] = timed.wall_s
    logs = np.log(seconds[1]) - np.log(seconds[0])
    interval = bootstrap(logs, statistic=np.median)
    ratio, low, high = (float(np.exp(end)) for end in (interval.value, interval.low, interval.high))
    return Repeats(pairs=pairs, ratio=ratio, low=low, high=high)


def _as_long(batch: Sequence[History], others: Sequence[History]) -> list[History]:
    """Return a request of the same size by users that asked before: what compiles does so, and learns no answer."""
    return [History(other.user, tuple(reversed(history.items))) for history, other in zip(batch, others, strict=True)]
