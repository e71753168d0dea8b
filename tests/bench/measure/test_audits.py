"""What timing adds, and whether answers are kept."""

import time

import pytest
import torch

from bench.measure.clock import Clock
from bench.measure.overhead import harness_overhead
from bench.measure.repeats import KEPT, repeated_requests
from bench.measure.subject import Subject, fresh_batches, user_batches
from bench.records.conditions import Overhead
from bench.records.model import Unavailable
from models.catalogue import History
from tests.tiny import build, catalogue, walks

CPU = torch.device("cpu")


def subject_of(users, *, asked=16, act=lambda histories: None):
    """A subject that knows the first users, whose recommender does something more at each request."""
    recommender = build("popularity")
    recommender.index(catalogue())
    prepare = recommender.prepare

    def acting(histories):
        act(histories)
        return prepare(histories)

    recommender.prepare = acting
    return Subject("tiny", recommender, [[history] for history in users[:asked]], 5, CPU)


def test_timing_adds_little_to_a_call_of_a_millisecond():
    """The bound that is promised: 2 % of the call, or 20 microseconds."""
    subject = subject_of(walks(40), act=lambda _: time.sleep(0.001))
    found = harness_overhead(subject, Clock(CPU), seconds=0.3)
    assert isinstance(found, Overhead)
    assert found.allowed_s >= 20e-6
    assert found.low <= found.allowed_s
    assert found.low <= found.seconds <= found.high


def test_a_clock_that_takes_time_is_found_out(monkeypatch):
    subject, clock = subject_of(walks(40)), Clock(CPU)
    time_once = clock.time

    def slow(call):
        time.sleep(0.001)
        return time_once(call)

    monkeypatch.setattr(clock, "time", slow)
    found = harness_overhead(subject, clock, seconds=0.3)
    assert found.seconds > 0.0009
    assert found.low > found.allowed_s


def test_beside_long_requests_overhead_cannot_be_seen(monkeypatch):
    monkeypatch.setattr("bench.measure.overhead.TOO_LONG_S", 0.0)
    found = harness_overhead(subject_of(walks(4)), Clock(CPU))
    assert "cannot be seen" in found.unavailable


def test_who_answers_anew_takes_as_long_again(monkeypatch):
    monkeypatch.setattr("bench.measure.repeats.SPENT_S", 600.0)
    users = walks(60)
    subject = subject_of(users, act=lambda _: time.sleep(0.02))
    found = repeated_requests(subject, [[history] for history in users[20:40]], Clock(CPU))
    assert found.pairs == 20
    assert found.high > KEPT
    assert found.ratio == pytest.approx(1, abs=0.3)


def test_who_keeps_answers_is_found_out():
    kept, users = set(), walks(60)

    def act(histories):
        if histories[0].user not in kept:
            time.sleep(0.002)
        kept.add(histories[0].user)

    subject = subject_of(users, act=act)
    found = repeated_requests(subject, [[history] for history in users[20:40]], Clock(CPU))
    assert found.high < KEPT


def test_without_users_who_never_asked_nothing_can_be_told():
    found = repeated_requests(subject_of(walks(4)), [], Clock(CPU))
    assert isinstance(found, Unavailable)
    assert "who never asked" in found.unavailable


def test_requests_of_seconds_are_not_asked_twice(monkeypatch):
    monkeypatch.setattr("bench.measure.repeats.TOO_LONG_S", 0.0)
    users = walks(60)
    found = repeated_requests(subject_of(users), [[history] for history in users[20:40]], Clock(CPU))
    assert "too long" in found.unavailable


def test_fresh_requests_name_nobody_who_asked():
    users = [History(user, (1,)) for user in range(100)]
    asked = user_batches(users, 4)[:10]
    fresh = fresh_batches(users, asked, 4)
    named = {history.user for batch in asked for history in batch}
    assert len(fresh) == 15
    assert not named & {history.user for batch in fresh for history in batch}
    assert {len(batch) for batch in fresh} == {4}
    assert fresh_batches(users, [users], 4) == []
    assert len(fresh_batches(users, [], 1)) == 32


def test_where_all_have_asked_their_histories_are_cut():
    users = [History(user, (1, 2, 3)) for user in range(8)]
    fresh = fresh_batches(users, [users], 2)
    assert len(fresh) == 4
    assert {history.items for batch in fresh for history in batch} == {(1, 2)}


def test_what_compiles_meets_each_size_before_it_is_timed_and_no_answer(monkeypatch):
    """Else the first request of a size pays for its program, and the second looks remembered."""
    users, asked = walks(40), []
    subject = subject_of(users, act=asked.extend)
    monkeypatch.setattr(type(subject.recommender), "compiles", True)
    repeated_requests(subject, [[history] for history in users[20:28]], Clock(CPU))
    before = asked[: 2 * len(users[20:28])]
    strange = [one for one in before if one not in users]
    assert [len(one.items) for one in strange] == [len(one.items) for one in users[20:28]]
    assert {one.user for one in strange} <= {one.user for one in users[:16]}
