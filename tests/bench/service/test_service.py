"""A running service: lists as they should be, latency from the schedule, and ends that are told."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

from bench.measure.outcome import CaseTimeoutError, WorkerDiedError
from bench.records.load import Slo, Verdict
from bench.service.arrivals import at_once, poisson
from bench.service.service import Service
from bench.service.trial import summarise
from tests.bench.service.sleepers import Sleeper, end, fail, stall, subject
from tests.tiny import build

SLO = Slo()
WARMED = 20
"""Requests that a worker makes before it says that it is ready, of a recommender this quick."""


def ask(service, arrivals, *, window_s=0.0, largest=1, slo=SLO, early=False):
    heard = service.ask(arrivals, slo, window_s=window_s, largest=largest, early=early)
    return heard, summarise(heard, slo, rate=None, seed=0, window_s=window_s, largest=largest)


@pytest.mark.parametrize(("window_s", "largest", "pipelined"), [(0, 1, False), (0.02, 8, False), (0.005, 4, True)])
def test_lists_are_those_of_single_requests_however_they_are_batched(window_s, largest, pipelined):
    asked = subject(build("sasrec"), users=24)
    service = Service(asked, workers=2)
    service.pipelined = pipelined
    with service, torch.inference_mode():
        heard, trial = ask(service, poisson(400, count=96, seed=0), window_s=window_s, largest=largest)
        assert trial.answered == trial.sent == 96
        assert set(heard.lists) == set(range(24))
        for place, (items, scores) in heard.lists.items():
            alone = asked.request(place)
            assert items.tolist() == alone.items[0].tolist()
            assert np.allclose(scores, alone.scores[0], rtol=1e-4)


def test_batches_fill_up_to_the_largest_where_requests_wait_and_not_beyond():
    with Service(subject(Sleeper(0.01)), workers=1) as service:
        _, trial = ask(service, at_once(64), largest=8)
        assert (trial.answered, trial.batches) == (64, {8: 8})
        _, alone = ask(service, at_once(6), largest=1)
        assert alone.batches == {1: 6}


def test_a_window_waits_for_others_and_none_takes_what_is_there():
    arrivals = np.arange(6) * 0.01
    with Service(subject(Sleeper()), workers=1) as service:
        assert ask(service, arrivals, window_s=5.0, largest=6)[1].batches == {6: 1}
        assert sum(ask(service, np.arange(6) * 0.2, window_s=0.0, largest=6)[1].batches.values()) > 1


def test_a_batch_is_taken_only_when_the_one_before_is_answered():
    with Service(subject(Sleeper(0.004)), workers=1) as service:
        heard, _ = ask(service, poisson(200, count=100, seed=3))
    assert np.all(np.diff(heard.taken) > 0.0039), "a single server answers one after the other"
    assert np.all(heard.taken >= heard.scheduled)
    assert np.all(heard.received >= heard.taken + 0.0039)


def test_a_stall_shows_in_the_tail_from_the_schedule_and_would_not_where_a_client_waits():
    with Service(subject(Sleeper(0.001, {WARMED + 60: stall(1.0)})), workers=1) as service:
        heard, trial = ask(service, poisson(60, count=240, seed=0))
    latency = heard.received - heard.scheduled
    assert (latency > 0.3).sum() > 20
    assert trial.latency.p95_s > 0.3
    waiting = heard.received - heard.taken  # what a client would see that sends when it is answered
    assert (waiting > 0.3).sum() == 1


def test_a_client_that_is_late_invalidates_the_trial_and_says_so():
    with Service(subject(Sleeper()), workers=1) as service:

        def stop_the_client():
            time.sleep(0.5)
            os.kill(service.client_pid, signal.SIGSTOP)
            time.sleep(0.6)
            os.kill(service.client_pid, signal.SIGCONT)

        threading.Thread(target=stop_the_client).start()
        _, trial = ask(service, poisson(100, count=200, seed=0))
    assert "the client sent" in trial.invalid
    assert trial.late_max_s > 0.3


def test_requests_that_fail_miss_the_objective_and_the_others_are_answered():
    with Service(subject(Sleeper(0.0, {WARMED + 5: fail, WARMED + 9: fail})), workers=1) as service:
        _, trial = ask(service, poisson(200, count=40, seed=0), slo=Slo(limit_ms=5000))
        assert service.said == "ValueError: no such luck"
    assert (trial.sent, trial.answered, trial.errors, trial.within) == (40, 38, 2, 0.95)


def test_a_worker_that_ends_is_told_with_its_status():
    with (
        Service(subject(Sleeper(0.0, {WARMED + 7: end})), workers=1) as service,
        pytest.raises(WorkerDiedError, match="worker 1 of 1 ended with status 3"),
    ):
        ask(service, poisson(100, count=100, seed=0))


def test_a_worker_that_is_killed_is_told_with_the_signal():
    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        Service(subject(Sleeper(0.0, {WARMED + 7: kill})), workers=2) as service,
        pytest.raises(WorkerDiedError, match="was ended by SIGKILL"),
    ):
        ask(service, poisson(100, count=400, seed=0))


def test_a_worker_that_hangs_is_given_up():
    with (
        Service(subject(Sleeper(0.0, {WARMED + 7: stall(600)})), workers=1, hang_s=0.5) as service,
        pytest.raises(CaseTimeoutError, match=r"no answer came for 0.5 s, at [0-9.]+ requests a second"),
    ):
        ask(service, poisson(100, count=200, seed=0))


def test_a_trial_ends_when_the_objective_is_missed_and_leaves_nothing_to_the_next():
    with Service(subject(Sleeper(0.02)), workers=1) as service:
        _, missed = ask(service, poisson(400, count=20_000, seed=0), early=True)
        assert missed.verdict is Verdict.MISSED
        assert missed.sent < 4_000
        assert missed.cut + missed.overdue > 0
        _, after = ask(service, at_once(1))
        assert (after.answered, after.verdict) == (1, Verdict.OPEN)


def test_more_than_can_be_answered_ends_a_trial_and_is_told():
    with Service(subject(Sleeper(0.02)), workers=1) as service:
        _, trial = ask(service, poisson(200, count=6_000, seed=0))
    assert "more arrived than could be answered" in trial.saturated
    assert trial.sent < 6_000


@pytest.mark.minutes  # a machine that does something else beside lets requests wait longer
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waiting_times_are_those_of_the_textbook(load):
    """M/D/1: the mean wait is that of Pollaczek and Khinchine, by the service times that the sleeper really took."""
    with Service(subject(Sleeper(0.004)), workers=1) as service:
        _, alone = ask(service, np.arange(30) * 0.05)
        arrivals = poisson(load / alone.service.p50_s, count=1500, seed=1)
        heard, _ = ask(service, arrivals, slo=Slo(limit_ms=10_000))
    wait, held = heard.taken - heard.scheduled, heard.received - heard.taken
    late = heard.sent - heard.scheduled
    if np.percentile(held, 99) > 1.2 * held.mean() or np.percentile(late, 99) > 0.001:
        pytest.skip("other work on this machine made service times anything but equal")
    rate = len(arrivals) / arrivals[-1]
    expected = rate * np.mean(held**2) / 2 / (1 - rate * held.mean())
    means = wait[: 1500 // 25 * 25].reshape(25, -1).mean(1)
    half = 3.7 * means.std(ddof=1) / 5  # 99.9 % of Student's with 24 degrees, by batch means
    assert abs(wait.mean() - expected) < half + 0.1 * expected + 0.001


@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="there is one core")
def test_the_client_has_a_core_to_itself():
    with Service(subject(Sleeper(0.001)), workers=1) as service:
        (worker,) = multiprocessing.active_children()
        cores = [os.sched_getaffinity(number) for number in (worker.pid, service.client_pid)]
    assert cores[0].isdisjoint(cores[1])
    assert set.union(*cores) == os.sched_getaffinity(0)
