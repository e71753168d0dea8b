"""LoadGen and our own client ask the same service in turns: do they find the same?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from statistics import median

from bench.records.load import Peak, SecondOpinion, Trial, Verdict
from bench.service.arrivals import at_once, poisson
from bench.service.loadgen_asked import LoadgenAsk, LoadgenHeard
from bench.service.peak import FINE, ROUGH, Batching, highest
from bench.service.service import START_S
from bench.service.session import MOST_REQUESTS, Session

TURNS = 3
"""How often each asks; the other one begins in every second turn, for a shared machine is quicker now than then."""

LONGER = 2
"""How many times the requests of a trial both get in each turn: chance is small then."""

APART = 0.05
"""Relative difference from which on both do not agree."""


class LoadgenError(Exception):
    """LoadGen ended or hung."""


class Loadgen:
    """LoadGen as a client of a session's service; leaving its context ends it.

    Args:
        session: Whose service.

    Raises:
        LoadgenError: It is not installed, or does not start.

    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._talk, self._process = session.service.start_client("bench.service.loadgen_client")
        said = self._said(START_S)
        if said != "ready":
            self.close()
            raise LoadgenError(str(said))

    def ask(self, rate: float, count: int, *, seed: int = 0) -> LoadgenHeard:
        """Run one test, and end LoadGen where it hangs.

        Args:
            rate: Queries a second; 0 asks for all at once.
            count: How many.
            seed: Seed of its draws.

        Raises:
            LoadgenError: It ended, or does not come back.

        """
        service, slo = self._session.service, self._session.offered.slo
        first = service.number(2 * count)
        self._talk.send(LoadgenAsk(rate, count, first, slo, seed, len(service.users)))
        limit_s = (count / rate if rate else 0.0) + count * self._session.request_s + START_S
        what = f"LoadGen, {rate:.3g} a second" if rate else "LoadGen, all at once"
        self._session.progress(f"{service.subject.name.partition(' | ')[0]}: {what}")
        with self._session.step(service.subject.name, f"answering {what}", limit_s + START_S):
            heard = self._said(limit_s)
        assert isinstance(heard, LoadgenHeard)
        return heard

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._talk.close()

    def _said(self, limit_s: float) -> object:
        with suppress(EOFError, ConnectionError):
            if not self._talk.poll(limit_s):
                self.close()
                raise LoadgenError(f"LoadGen hung for {limit_s:.0f} s and was ended")
            answer: object = self._talk.recv()
            return answer
        status = self._process.wait()
        raise LoadgenError(f"LoadGen ended with status {status}")


def second_opinion(session: Session, batching: Batching, rate: float, peak: Peak | None) -> SecondOpinion:
    """Let LoadGen ask, and our client as often.

    Args:
        session: Whose service.
        batching: How batches are formed.
        rate: At which 99th percentiles are compared.
        peak: The highest rate that we found; None where it was not searched.

    """
    measured: dict[str, float | None] = {}
    count = min(MOST_REQUESTS, LONGER * session.count(rate))

    def ours(rate: float, count: int, seed: int = 0) -> Trial:
        arrivals = poisson(rate, count=count, seed=seed) if rate else at_once(count)
        return session.tried(arrivals, batching, rate=rate or None, seed=seed)[0]

    try:
        loadgen = Loadgen(session)
        try:
            measured["rate"] = rate
            measured["our_p99_s"], measured["p99_s"] = _in_turns(
                lambda turn: ours(rate, count, turn).latency.p99_s,
                lambda turn: loadgen.ask(rate, count, seed=turn).p99_s,
            )
            measured["our_offline"], measured["offline"] = _in_turns(
                lambda turn: ours(0.0, count, turn).achieved, lambda turn: loadgen.ask(0.0, count, seed=turn).completed
            )
            if peak is not None and peak.rate:
                search = partial(
                    highest,
                    start=peak.rate,
                    step=ROUGH,
                    within=FINE,
                    least=peak.rate / ROUGH**8,
                    time_is_up=lambda: False,
                )
                measured["peak"] = search(lambda tried: loadgen.ask(tried, session.count(tried)).valid)
                measured["our_peak"] = search(lambda tried: ours(tried, session.count(tried)).verdict is Verdict.MET)
        finally:
            loadgen.close()
    except LoadgenError as error:
        return SecondOpinion(**measured, why=str(error))
    return _judged(SecondOpinion(**measured))


def _in_turns(*ask: Callable[[int], float | None]) -> list[float | None]:
    """Return the median of what each finds over the turns; None where none of its turns told anything."""
    found: list[list[float]] = [[] for _ in ask]
    for turn in range(TURNS):
        for which in range(len(ask))[:: -1 if turn % 2 else 1]:
            value = ask[which](turn)
            if value is not None:
                found[which].append(value)
    return [median(values) if values else None for values in found]


def _judged(opinion: SecondOpinion) -> SecondOpinion:
    """Say where both do not agree."""
    pairs = {
        "p99": (opinion.p99_s, opinion.our_p99_s),
        "highest rate": (opinion.peak, opinion.our_peak),
        "all at once": (opinion.offline, opinion.our_offline),
    }
    apart = {name: other / ours - 1 for name, (other, ours) in pairs.items() if other is not None and ours}
    told = [f"{name} {share:+.1%}" for name, share in apart.items() if abs(share) > APART]
    why = f"differs from ours by more than {APART:.0%}: {', '.join(told)}" if told else ""
    return opinion.model_copy(update={"why": why})
