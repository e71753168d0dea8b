"""A replay: users arrive when a file says so."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.records.load import Offered
from bench.scenarios.served import Served, Tried
from bench.service.arrivals import replayed
from bench.service.peak import Batching
from bench.service.session import Session
from models.errors import UserError


class Trace(Served):
    """Sends requests at the times of a file, one number of seconds a line."""

    name = "trace"

    def offered(self, asked: Offered, device: torch.device) -> Offered | None:
        """See `Scenario.offered`; the rate is the file's.

        Raises:
            UserError: There is no such file, or it holds no arrival times.

        """
        offered = super().offered(asked, device)
        if offered is None or offered.trace is None:
            raise UserError("--scenario trace: name a file of arrival times, --arrivals FILE")
        arrivals = replayed(Path(offered.trace))
        last = float(arrivals[-1])
        if not last:
            raise UserError(f"{offered.trace}: all requests arrive at once; --scenario offline measures that")
        return offered.model_copy(update={"rate": len(arrivals) / last})

    def tried(self, session: Session) -> Tried:
        """See `Served.tried`."""
        offered = session.offered
        assert offered.trace is not None, "checked above"
        batching = Batching(offered.windows_ms[0], offered.largest_batches[-1])
        trial, heard = session.tried(replayed(Path(offered.trace)), batching, rate=offered.rate)
        return Tried(trial, heard, [trial])
