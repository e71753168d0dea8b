"""Small pieces of a gate: processes of known length, ledgers, workers that do as they are told."""

import numpy as np

from bench.gate.pairs import Ledger
from bench.gate.process import CaseFailedError, WorkerDiedError
from bench.records.gate import PROTOCOL, Facts, Process, RankedUser, SideRole
from tests.bench.factories import make_case

TURNS = 12


def process(median_s=0.01, *, spread=0.01, rounds=60, seed=0):
    """Samples around a median, dealt over the turns."""
    rng = np.random.default_rng(seed)
    samples = median_s * np.exp(rng.normal(0, spread, rounds))
    return Process(samples_s=samples.tolist(), turns=[row * TURNS // rounds for row in range(rounds)])


def side(median_s, pairs=5, *, between=0.005, seed=0, **changes):
    """A process a pair, whose medians differ a little."""
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.normal(0, between, pairs))
    return [process(median_s * factor, seed=1000 * seed + row, **changes) for row, factor in enumerate(factors)]


def facts(**changes):
    lists = [RankedUser(user=user, items=[1 + user, 2 + user, 3 + user], scores=[3.0, 2.0, 1.0]) for user in range(4)]
    values = {"flops_per_user": 1e6, "operators": 100, "parameters": 1000, "peak_bytes": 2**20, "lists": lists}
    return Facts(**values | changes)


def ledger(head_s=0.01, *, base_s=0.01, pairs=5, margin=0.05, names=("lite-llm4rec",), case=None, **changes):
    """A ledger of cases in which head takes `head_s`."""
    cases = [make_case(name, **(case or {})) for name in names]
    listed = {one.name: (one, margin) for one in cases}
    made = Ledger(cases={SideRole.BASE: dict(listed), SideRole.HEAD: dict(listed)}, pairs=pairs)
    for name in listed:
        made.facts[name] = {SideRole.BASE: facts(), SideRole.HEAD: facts()}
        made.processes[name] = {
            SideRole.BASE: side(base_s, pairs, seed=1, **changes),
            SideRole.HEAD: side(head_s, pairs, seed=2, **changes),
            SideRole.AGAIN: side(base_s, pairs, seed=3, **changes),
        }
    return made


class FakeWorker:
    """A worker in this process: notes what it is asked, and fails or dies where it is told to."""

    def __init__(self, side, log, cases, act=lambda side, what, details: None):
        self.side, self.log, self.cases, self.act = side, log, cases, act
        self.told = None

    def tell(self, what, **details):
        self.told = what, details

    def answer(self, what):
        assert self.told[0] == what
        _, details = self.told
        self.log.append((self.side.name, what, details))
        made = self.act(self.side, what, details)
        if made is not None:
            return made
        if what == "plan":
            listed = [[case.model_dump(mode="json"), 0.05] for case in self.cases]
            return {
                "protocol": PROTOCOL,
                "cases": listed,
                "code": {},
                "machine": {"cores": 2},
                "software": {"torch": "2"},
            }
        if what == "warm":
            return {"rounds": 24, "request_s": 0.0025, "stationary": True}
        if what == "turn":
            return [0.01 + 1e-5 * len(self.log)] * details["rounds"]
        if what == "close":
            return {"involuntary_switches": 3, "other_cores": 0.1}
        return facts().model_dump(mode="json") if what == "facts" else None

    def ask(self, what, **details):
        self.tell(what, **details)
        return self.answer(what)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.append((self.side.name, "end", {}))


FAILED, DIED = CaseFailedError, WorkerDiedError
