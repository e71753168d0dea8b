"""What LoadGen is asked to do, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.load import Slo


@dataclass(frozen=True)
class LoadgenAsk:
    """One test.

    Attributes:
        rate: Queries a second of its Server scenario; 0 asks for its Offline one.
        count: Queries.
        first: Number of the first request.
        slo: Its limit and percentile.
        seed: Seed of LoadGen's own draws: equal seeds give other arrivals than ours.
        users: Among whom it chooses.

    """

    rate: float
    count: int
    first: int
    slo: Slo
    seed: int
    users: int


@dataclass(frozen=True)
class LoadgenHeard:
    """What it told.

    Attributes:
        valid: Whether it calls the result valid.
        p99_s: 99th percentile from the scheduled time; None where it told none.
        completed: Answers a second; None where it told none.
        reason: Why the result is not valid; empty where it is.

    """

    valid: bool
    p99_s: float | None
    completed: float | None
    reason: str
