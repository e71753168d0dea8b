"""What a client is asked to do, and what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.records.load import Slo
from bench.service.arrivals import Seconds


@dataclass(frozen=True)
class Ask:
    """One trial.

    Attributes:
        arrivals: When each request is to be sent, in seconds from the start.
        first: Number of the first request.
        slo: What decides.
        early: Whether to stop when the objective is missed. It is kept only by a whole trial: near the highest rate
            queues take seconds to form.
        drain_s: How long after the last arrival answers are waited for.
        hang_s: After how long without any answer the service hangs.

    """

    arrivals: Seconds
    first: int
    slo: Slo
    early: bool
    drain_s: float
    hang_s: float


@dataclass
class Heard:
    """What became of the requests of a trial, in order of arrival: seconds from the start, NaN where never.

    Attributes:
        scheduled: When each was to be sent; only those that were sent.
        sent: When it was.
        taken: When a worker took it into a batch.
        received: When its answer was there.
        size: Users of that batch.
        ok: Whether the answer is a list.
        ended: When the trial ended.
        lists: Items and scores of the last list of each user, by the request's number modulo the number of users.
        saturated: Why it was stopped since too much arrived; empty where it was not.
        lost: Why it was stopped since nobody answered any more; empty where it was not.

    """

    scheduled: np.ndarray
    sent: np.ndarray
    taken: np.ndarray
    received: np.ndarray
    size: np.ndarray
    ok: np.ndarray
    ended: float = 0.0
    lists: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    saturated: str = ""
    lost: str = ""


def judged_of(heard: Heard, slo: Slo, sent: int, now: float) -> tuple[int, int]:
    """Count the requests that can be judged, and those of them that missed the limit.

    A failed answer is a miss, and so is a request without an answer whose time is up. What was sent a moment ago
    cannot be judged.
    """
    scheduled, received = heard.scheduled[:sent], heard.received[:sent]
    answered = ~np.isnan(received)
    late = answered & ((received - scheduled > slo.limit_s) | (heard.ok[:sent] == 0))
    overdue = ~answered & (now - scheduled > slo.limit_s)
    return int(answered.sum() + overdue.sum()), int(late.sum() + overdue.sum())
