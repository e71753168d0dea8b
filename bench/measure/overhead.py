"""What timing adds to a call, found by timing the same calls otherwise."""

from __future__ import annotations

import time

import numpy as np

from bench.measure.clock import Clock, Timed
from bench.measure.instrument import Instrument, Request
from bench.measure.subject import Subject
from bench.records.conditions import Overhead
from bench.records.model import Unavailable
from bench.statistics.intervals import bootstrap

BLOCK_S = 0.002
"""How long a block of calls lasts: short, so that both ways see the same machine."""

BLOCKS = (15, 400)
"""Blocks of each way, at least and at most."""

TOO_LONG_S = 0.1
"""Requests beside which the microseconds of timing cannot be seen."""

ALLOWED_SHARE, ALLOWED_S = 0.02, 20e-6


def harness_overhead(subject: Subject, clock: Clock, *, seconds: float = 1.0) -> Overhead | Unavailable:
    """Time the same requests one by one, as the harness does, and in a bare loop, in turns.

    Both ways are charged all that passes between the first request of a block and the end of the last,
    so what the harness does between requests counts too, though no sample holds it.

    Args:
        subject: What is asked.
        clock: Clock of its device.
        seconds: How long to go on, about.

    """
    _, first = clock.time(lambda: subject.request(0))
    if first.wall_s > TOO_LONG_S:
        said = f"a request takes {first.wall_s:.2g} s, beside which the microseconds of timing cannot be seen"
        return Unavailable(unavailable=said)
    calls = max(1, round(BLOCK_S / max(first.wall_s, 1e-6)))
    least, most = BLOCKS
    blocks = int(np.clip(seconds / (2 * calls * max(first.wall_s, 1e-6)), least, most))
    harness, bare = np.empty(blocks), np.empty(blocks)
    for block in range(blocks):
        numbers = range(block * calls, (block + 1) * calls)
        if block % 2:
            bare[block], harness[block] = _bare(subject, clock, numbers), _harness(subject, clock, numbers)
        else:
            harness[block], bare[block] = _harness(subject, clock, numbers), _bare(subject, clock, numbers)
    gaps = harness - bare
    interval = bootstrap(gaps, statistic=np.median)
    allowed = max(ALLOWED_SHARE * float(np.median(bare)), ALLOWED_S)
    return Overhead(seconds=interval.value, low=interval.low, high=interval.high, allowed_s=allowed)


def _bare(subject: Subject, clock: Clock, numbers: range) -> float:
    """Return seconds a call of a loop that only calls."""
    clock.synchronise()
    start = time.perf_counter()
    for number in numbers:
        subject.request(number)
    clock.synchronise()
    return (time.perf_counter() - start) / len(numbers)


def _harness(subject: Subject, clock: Clock, numbers: range) -> float:
    """Return seconds a call of a loop that times each one."""
    clock.synchronise()
    kept: list[Timed] = []
    start = time.perf_counter()
    for number in numbers:
        _, timed = clock.time(lambda number=number: subject.request(number))  # type: ignore[misc]
        kept.append(timed)
    return (time.perf_counter() - start) / len(numbers)


class OverheadMeter(Instrument):
    """Measures what the harness adds to a request."""

    name = "overhead"

    def measure(self, request: Request) -> Overhead | Unavailable:
        """Time requests with and without the harness, in turns."""
        return harness_overhead(request.subject, request.clock)
