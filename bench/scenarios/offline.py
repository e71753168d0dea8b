"""Everybody at once: how many users a second a service answers that may take its time."""

from __future__ import annotations

import math

from bench.scenarios.served import Served, Tried
from bench.service.arrivals import at_once
from bench.service.peak import Batching
from bench.service.session import MOST_REQUESTS, Session


class Offline(Served):
    """Sends all requests at the start; the largest batch that answers most a second is told first."""

    name = "offline"

    def tried(self, session: Session) -> Tried:
        """See `Served.tried`."""
        offered = session.offered
        alone = session.service.workers / session.request_s
        count = max(2 * max(offered.largest_batches), min(MOST_REQUESTS, math.ceil(alone * offered.seconds)))
        trials = [
            session.tried(at_once(count), Batching(0.0, largest), rate=None) for largest in offered.largest_batches
        ]
        main, heard = max(trials, key=lambda tried: tried[0].achieved or 0.0)
        return Tried(main, heard, [trial for trial, _ in trials])
