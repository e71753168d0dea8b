"""Lists that are made before anybody asks: how old they are when they are served, and what making one anew costs."""

from __future__ import annotations

import statistics

import torch

from bench.measure.instrument import Instrument, Request
from bench.records.cost import FurtherMeasure
from bench.records.model import Unavailable

AT_THE_REQUEST = "lists are made at the request"

ROUNDS = 5
"""Requests' users whose lists are made anew, each once."""


class ListAgeMeter(Instrument):
    """Tells how many items users took, in the mean, since the lists were made that they get."""

    name = "list_age"

    def measure(self, request: Request) -> FurtherMeasure | Unavailable:
        """Ask the recommender for the ages of the lists of all users who were dealt into requests."""
        subject = request.subject
        ages = subject.recommender.list_ages([history for batch in subject.batches for history in batch])
        if ages is None:
            return Unavailable(unavailable=AT_THE_REQUEST)
        return FurtherMeasure(value=statistics.fmean(ages), unit="items", title="age of a list")


class RefreshMeter(Instrument):
    """Times how long it takes to make a user's list anew, offline, in batches as large as the requests."""

    name = "refresh"

    def measure(self, request: Request) -> FurtherMeasure | Unavailable:
        """Make the lists of a few requests' users anew; it comes last, because lists are younger afterwards."""
        subject, clock = request.subject, request.clock
        if subject.recommender.list_ages([]) is None:
            return Unavailable(unavailable=AT_THE_REQUEST)
        seconds = []
        with torch.inference_mode():
            subject.recommender.remember(subject.batches[0])  # warm
            for number in range(ROUNDS):
                users = subject.batches[number % len(subject.batches)]
                _, timed = clock.time(lambda users=users: subject.recommender.remember(users))  # type: ignore[misc]
                seconds.append(timed.wall_s / len(users))
        return FurtherMeasure(value=1e3 * statistics.median(seconds), unit="ms", title="refresh of a user's list")
