"""An open loop: users arrive as a Poisson process, whatever became of those before them."""

from __future__ import annotations

from bench.records.load import Trial
from bench.scenarios.served import Served, Tried
from bench.service.asked import Heard
from bench.service.peak import FRACTIONS, Batching, Search
from bench.service.refreshing import refreshes
from bench.service.second_opinion import second_opinion
from bench.service.session import Session

ALONE = 0.2
"""Share of what one user at a time amounts to: at this rate a service is told of that keeps its objective at none."""

CALM = 0.7
"""Share of the highest rate at which LoadGen's 99th percentile is held against ours: nearer, chance decides both."""

BUSY = 0.5
"""Share of the highest rate at which new catalogues are taken in."""


class Open(Served):
    """Asks at a rate, or looks for the highest rate that keeps the objective and asks at shares of it."""

    name = "open"

    def tried(self, session: Session) -> Tried:
        """See `Served.tried`."""
        offered = session.offered
        if offered.rate is not None:
            batching = Batching(offered.windows_ms[0], offered.largest_batches[-1])
            trials, mains = [], []
            for seed in range(offered.seeds):
                trial, heard = session.wholly(offered.rate, seed, batching)
                trials.append(trial)
                mains.append(heard)
            asked = second_opinion(session, batching, offered.rate, None) if offered.loadgen else None
            renewed = refreshes(session, batching, offered.rate) if offered.refresh else []
            return Tried(trials[0], mains[0], trials, loadgen=asked, refreshes=renewed)
        alone = session.service.workers / session.request_s
        start = session.recall([session.service.subject.name, "start"]) or alone
        session.keep([session.service.subject.name, "start"], start)
        search = Search(session.briefly, offered, start, session.time_is_up)
        peak = search.find()
        batching = Batching(peak.window_ms, peak.largest_batch)
        top = peak.rate or ALONE * start
        fractions = FRACTIONS if peak.rate else (1.0,)
        by_share: dict[float, tuple[Trial, Heard]] = {
            share: session.wholly(share * top, offered.seeds, batching, stretched=share == 1.0) for share in fractions
        }
        main, heard = by_share[1.0]
        asked = second_opinion(session, batching, CALM * top, peak) if offered.loadgen else None
        renewed = refreshes(session, batching, BUSY * top) if offered.refresh else []
        return Tried(main, heard, [trial for trial, _ in by_share.values()], search.trials, peak, asked, renewed)
