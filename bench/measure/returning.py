"""Users who come back: how often what was kept of them is of use, what it weighs, and from when on keeping pays."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from bench.measure.instrument import Instrument, Request
from bench.records.cost import FurtherMeasure
from bench.records.model import Unavailable
from models.catalogue import History
from models.serving import KeptUsers

NOTHING = "nothing is kept of users"

ROUNDS = 8
"""Requests of each kind that break-even is reckoned from, at most."""


class _OfKeptUsers(Instrument):
    def measure(self, request: Request) -> FurtherMeasure | Unavailable:
        """Ask the recommender what it keeps."""
        kept = request.subject.recommender.kept_users()
        return Unavailable(unavailable=NOTHING) if kept is None else self.told(request, kept)

    def told(self, request: Request, kept: KeptUsers) -> FurtherMeasure | Unavailable:
        """Return the measure of a recommender that keeps something."""
        raise NotImplementedError


class HitMeter(_OfKeptUsers):
    """Tells which share of the users so far were answered by what was kept of them."""

    name = "returning_hits"

    def told(self, request: Request, kept: KeptUsers) -> FurtherMeasure | Unavailable:
        """See `measure`."""
        del request
        if not kept.asked:
            return Unavailable(unavailable="nobody asked yet")
        return FurtherMeasure(value=100 * kept.hits / kept.asked, unit="%", title="users who were known")


class UserBytesMeter(_OfKeptUsers):
    """Tells what is kept of a user."""

    name = "returning_bytes"

    def told(self, request: Request, kept: KeptUsers) -> FurtherMeasure | Unavailable:
        """See `measure`."""
        del request
        return FurtherMeasure(value=kept.user_bytes / 1024, unit="KiB", title="kept of a user")


class BreakEvenMeter(_OfKeptUsers):
    """Reckons which share of users must be known for keeping to pay; it leaves nobody known.

    With w what a request takes that reads whole histories, m one that does so and keeps what it made, and h one of
    users who are known, a share s of known users takes s h + (1 - s) m, which is w at s = (m - w) / (m - h).
    """

    name = "returning_break_even"

    def told(self, request: Request, kept: KeptUsers) -> FurtherMeasure | Unavailable:
        """See `measure`."""
        del kept
        subject, recommender = request.subject, request.subject.recommender
        batches = subject.batches[:ROUNDS]
        earlier = [[History(history.user, history.items[:-1]) for history in users] for users in batches]

        def seconds(before: Callable[[int], None]) -> float:
            times = []
            for number in range(len(batches)):
                before(number)
                _, timed = request.clock.time(lambda number=number: subject.request(number))  # type: ignore[misc]
                times.append(timed.wall_s)
            return statistics.median(times)

        def nobody(number: int) -> None:
            del number
            recommender.forget()
            recommender.remember([])

        with torch.inference_mode():
            known_s = seconds(lambda number: recommender.remember(earlier[number]))
            unknown_s = seconds(nobody)
            recommender.forget()
            whole_s = seconds(lambda _: None)
        if known_s >= whole_s:
            return Unavailable(unavailable="a request of known users takes no less than one that reads whole histories")
        needed = max(0.0, (unknown_s - whole_s) / (unknown_s - known_s)) if unknown_s > known_s else 0.0
        return FurtherMeasure(value=100 * needed, unit="%", title="keeping pays from, known users")
