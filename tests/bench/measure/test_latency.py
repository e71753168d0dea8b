"""Interleaved timing, with recommenders whose behaviour is known."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.measure import latency
from bench.measure.clock import Clock, Timed
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure, deadline, failure
from bench.measure.subject import Subject, user_batches
from bench.records.case import Outcome
from bench.records.model import Unavailable
from models.catalogue import History
from models.errors import UserError
from tests.tiny import build, walks

CPU = torch.device("cpu")
PLAN = TimingPlan(case_s=0.0, min_rounds=6, max_rounds=6, turns=3, warmup_s=0.0)


def silent(_):
    """Report nothing."""


def subject(name, log, act=lambda number: None, batches=4):
    """A subject that notes each request, and then does what it is told."""
    recommender = build("popularity")
    users = [[history] for history in walks(batches)]
    made = Subject(name, recommender, users, 2, CPU)

    def request(number, answer=made.request):
        log.append((name, number))
        act(number)
        return answer(number)

    object.__setattr__(made, "request", request)
    return made


def test_cases_take_turns_there_and_back():
    log = []
    results = latency.interleave([subject(name, log) for name in "abc"], PLAN, Clock(CPU), silent)
    order = [name for name, _ in log]
    runs = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert "".join(runs) == "abcabcbabc", "warming up, then there, back and there again"
    assert [samples.turns for samples in results.values()] == [[0, 0, 1, 1, 2, 2]] * 3
    assert all(len(samples.timed) == 6 for samples in results.values())


def test_what_compiles_is_asked_every_request_before_it_is_timed(monkeypatch):
    log = []
    compiling = subject("a", log)
    monkeypatch.setattr(type(compiling.recommender), "compiles", True)
    latency.interleave([compiling], PLAN, Clock(CPU), silent)
    assert [number for _, number in log][:4] == [0, 1, 2, 3]


def test_users_rotate_and_the_first_request_of_a_turn_repeats_the_one_before():
    """Two timed rounds a turn over four users: each is asked in turn, none is skipped."""
    log = []
    results = latency.interleave([subject("a", log)], PLAN, Clock(CPU), silent)
    assert [number for _, number in log][-9:] == [-1, 0, 1, 1, 2, 3, 3, 4, 5]
    assert sorted(results["a"].answers) == [0, 1, 2, 3]
    for row, (users, found) in results["a"].answers.items():
        assert users[0].user == row
        assert found.items.shape == (1, 2)


@pytest.mark.parametrize(("error", "outcome", "detail"), [
    (MemoryError(), Outcome.OUT_OF_MEMORY, "MemoryError"),
    (torch.OutOfMemoryError("CUDA out of memory"), Outcome.OUT_OF_MEMORY, "CUDA out of memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Outcome.OUT_OF_MEMORY, "Default"),
    (UserError("no such decoder"), Outcome.UNSUPPORTED, "no such decoder"),
    (NotImplementedError("not for bfloat16"), Outcome.UNSUPPORTED, "not for bfloat16"),
    (ValueError("broken\n  here"), Outcome.ERROR, "ValueError: broken here"),
])  # fmt: skip
def test_a_case_that_fails_drops_out_and_the_others_go_on(error, outcome, detail):
    def fail(number):
        if number == 3:
            raise error

    log = []
    results = latency.interleave([subject("a", log, fail), subject("b", log)], PLAN, Clock(CPU), silent)
    assert results["a"].outcome is outcome
    assert results["a"].detail.startswith(detail)
    assert len(results["b"].timed) == 6
    assert failure(error) == results["a"]


def test_a_case_that_fails_while_warming_up_is_never_timed():
    def fail(number):
        raise MemoryError

    log = []
    results = latency.interleave([subject("a", log, fail), subject("b", log)], PLAN, Clock(CPU), silent)
    assert results["a"] == Failure(Outcome.OUT_OF_MEMORY, "MemoryError")
    assert [name for name, _ in log].count("a") == 1


def test_the_timeout_holds_over_all_turns_of_a_case():
    """No single request is too long; together they are."""
    plan = replace(PLAN, timeout_s=1.5, min_rounds=60, max_rounds=60)
    started = time.perf_counter()
    log = []
    slow = subject("slow", log, lambda number: time.sleep(0.15))
    results = latency.interleave([slow, subject("quick", log)], plan, Clock(CPU), silent)
    assert results["slow"].outcome is Outcome.TIMED_OUT
    assert results["slow"].detail == "took longer than the 1.5 s that --case-timeout allows"
    assert len(results["quick"].timed) == 60
    assert time.perf_counter() - started < 60 * 0.15, "what is too long is not taken to its end"


def test_a_deadline_ends_its_body_alone_and_leaves_no_alarm():
    with pytest.raises(Exception, match=r"0\.02 s that --case-timeout allows"), deadline(0.02):
        time.sleep(5)
    with deadline(0.02):
        pass
    time.sleep(0.04)
    with deadline(None):
        time.sleep(0.01)


def test_rounds_fill_the_time_between_their_bounds():
    plan = TimingPlan(case_s=0.2, min_rounds=3, max_rounds=50, turns=2, warmup_s=0.0)
    log = []
    slow, quick = subject("slow", log, lambda number: time.sleep(0.1)), subject("quick", log)
    results = latency.interleave([slow, quick], plan, Clock(CPU), silent)
    assert len(results["slow"].timed) == 3
    assert len(results["quick"].timed) == 50
    assert np.mean([timed.wall_s for timed in results["slow"].timed]) >= 0.1


def summary(rounds):
    samples = Samples([Timed(number / 1000, None) for number in range(1, rounds + 1)], [0] * rounds)
    return latency.summarise(samples, 4, Clock(CPU))


@pytest.mark.parametrize(("rounds", "known"), [
    (49, set()), (50, {"p90_s"}), (99, {"p90_s"}), (100, {"p90_s", "p95_s"}), (500, {"p90_s", "p95_s", "p99_s"}),
])  # fmt: skip
def test_a_percentile_stands_only_on_enough_rounds(rounds, known):
    found = summary(rounds)
    assert {name for name in ("p90_s", "p95_s", "p99_s") if getattr(found, name) is not None} == known


def test_latency_by_hand():
    found = summary(101)
    assert (found.mean_s, found.p50_s) == pytest.approx((0.051, 0.051))
    assert found.p90_s == pytest.approx(0.091)
    assert found.users_per_second == pytest.approx(4 / 0.051)
    assert found.samples_s[0] == 0.001
    assert isinstance(found.device_s, Unavailable)


def test_the_clock_returns_the_result_and_the_time_it_took():
    result, timed = Clock(CPU).time(lambda: (time.sleep(0.02), "done")[1])
    assert result == "done"
    assert 0.02 <= timed.wall_s < 1
    assert timed.device_s is None


def test_batches_hold_distinct_users_and_repeat_with_the_seed():
    users = [History(user, (1,)) for user in range(100)]
    batches = user_batches(users, 8)
    assert [len(batch) for batch in batches] == [8] * 12
    asked = [history.user for batch in batches for history in batch]
    assert len(set(asked)) == len(asked) == 96
    assert batches == user_batches(users, 8)
    assert batches != user_batches(users, 8, seed=1)
    assert len(user_batches(users, 1)) == 64


def test_users_ask_again_where_they_are_fewer_than_a_batch():
    batches = user_batches([History(user, ()) for user in range(3)], 8)
    assert [len(batch) for batch in batches] == [8]
    assert {history.user for history in batches[0]} == {0, 1, 2}
