"""The client on a clock that it moves itself: the textbook's waiting times, to within chance, on any machine."""

import numpy as np
import pytest

from bench.records.load import Slo
from bench.service import client
from bench.service.arrivals import poisson
from bench.service.asked import Ask
from bench.service.client import Running
from bench.service.trial import summarise
from bench.service.wire import answer_type

SERVICE_S = 0.01
SLO = Slo(limit_ms=1e6)


class Server:
    """One that answers each request in the same time, one after the other, on a clock of its own."""

    users = 1

    def __init__(self):
        self.now, self.free, self.due = 0.0, 0.0, []

    def send(self, number):
        begins = max(self.now, self.free)
        self.free = begins + SERVICE_S
        self.due.append((self.free, number, begins))
        return True

    def hear(self, wait_s):
        until = self.now + wait_s
        if self.due and self.due[0][0] <= until:
            done, number, begins = self.due.pop(0)
            self.now = max(self.now, done)
            answer = np.zeros(1, answer_type(1))
            answer["number"], answer["taken"], answer["size"], answer["ok"] = number, begins, 1, 1
            return answer
        self.now = until + 1e-9
        return np.empty(0)


def asked(monkeypatch, arrivals, *, slo=SLO, early=False):
    server = Server()
    monkeypatch.setattr(client.time, "monotonic", lambda: server.now)
    running = Running(server, Ask(arrivals, 0, slo, early=early, drain_s=1e6, hang_s=1e6))
    while not running.over():
        running.send_due()
        running.note(server.hear(running.idle_s()))
        running.look()
    return running.ended()


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waiting_times_are_those_of_the_textbook_for_equal_service_times(monkeypatch, load):
    """M/D/1: by Pollaczek and Khinchine the mean wait is load * service / 2 / (1 - load)."""
    means = []
    for seed in range(5):
        heard = asked(monkeypatch, poisson(load / SERVICE_S, count=4000, seed=seed))
        means.append((heard.received - heard.scheduled).mean() - SERVICE_S)
        assert np.isfinite(heard.received).all()
        assert np.allclose(heard.sent, heard.scheduled, atol=1e-6)
    expected = load * SERVICE_S / 2 / (1 - load)
    half = 4.6 * np.std(means, ddof=1) / np.sqrt(5)  # 99 % of Student's with 4 degrees
    assert abs(np.mean(means) - expected) < half + 0.02 * expected


def test_what_is_told_of_a_trial_is_queue_and_service_apart(monkeypatch):
    trial = summarise(
        asked(monkeypatch, poisson(60, count=2000, seed=0)), SLO, rate=60, seed=0, window_s=0.0, largest=1
    )
    assert trial.service.p50_s == pytest.approx(SERVICE_S, rel=0.01)
    assert trial.latency.p50_s >= trial.queue.p50_s
    assert (trial.within, trial.cut, trial.errors, trial.batches) == (1.0, 0, 0, {1: 2000})


def test_no_trial_is_missed_before_a_miss_is_to_be_expected(monkeypatch):
    """All take twice what is allowed, four come a second: of p99 a hundred must have come, seconds after the first."""
    heard = asked(monkeypatch, np.arange(200) / 4, slo=Slo(limit_ms=5), early=True)
    assert 100 <= len(heard.scheduled) < 110


def test_answers_are_heard_while_many_requests_are_due(monkeypatch):
    server = Server()
    monkeypatch.setattr(client.time, "monotonic", lambda: server.now)
    running = Running(server, Ask(np.zeros(1000), 0, SLO, early=False, drain_s=1e6, hang_s=1e6))
    server.now = 1.0
    running.send_due()
    assert len(server.due) == client.AT_A_TIME
    assert running.idle_s() == 0
    running.send_due()
    assert len(server.due) == 2 * client.AT_A_TIME


def test_a_client_cannot_be_late_for_what_comes_at_once(monkeypatch):
    slo = Slo(limit_ms=80)
    trials = [asked(monkeypatch, np.array(arrivals)) for arrivals in (np.zeros(50), [0.0, *np.full(49, 1e-9)])]
    for heard in trials:
        heard.sent = heard.scheduled + 1.0
    told = [summarise(heard, slo, rate=None, seed=0, window_s=0.0, largest=1).invalid for heard in trials]
    assert told[0] == ""
    assert "the client sent 1e+03 ms late" in told[1]


def test_more_than_can_be_answered_ends_the_trial(monkeypatch):
    heard = asked(monkeypatch, poisson(300, count=20_000, seed=0))
    assert "more arrived than could be answered" in heard.saturated
    assert len(heard.scheduled) < 20_000


def test_a_trial_ends_when_the_objective_is_missed_and_is_whole_where_it_is_kept(monkeypatch):
    kept = asked(monkeypatch, poisson(50, count=5_000, seed=0), slo=Slo(limit_ms=500), early=True)
    assert len(kept.scheduled) == 5_000
    missed = asked(monkeypatch, poisson(95, count=20_000, seed=0), slo=Slo(limit_ms=11), early=True)
    assert len(missed.scheduled) < 1000
