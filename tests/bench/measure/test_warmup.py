"""Warming up ends when times no longer fall, or when it has taken too long."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from bench.measure.clock import Clock
from bench.measure.subject import Subject
from bench.measure.warmup import LEAST, warm_up
from tests.tiny import build, catalogue, walks


@pytest.fixture
def subject():
    recommender = build("popularity")
    recommender.index(catalogue())
    return Subject("tiny", recommender, [[history] for history in walks(8)], 2, torch.device("cpu"))


def clock_of(monkeypatch, seconds):
    """A clock by which requests take what an iterator says."""
    clock, told = Clock(torch.device("cpu")), iter(seconds)
    monkeypatch.setattr(clock, "time", lambda call: (call(), SimpleNamespace(wall_s=next(told), device_s=None)))
    return clock


def test_steady_times_need_two_halves(subject, monkeypatch):
    found = warm_up(subject, clock_of(monkeypatch, itertools.repeat(0.02)))
    assert found.stationary is True
    assert found.rounds == 1 + 2 * LEAST
    assert found.request_s == 0.02


def test_falling_times_are_waited_out(subject, monkeypatch):
    """Each half takes four requests; the first three fall by a third each."""
    falling = [0.09, *[0.09] * 4, *[0.06] * 4, *[0.04] * 4, *[0.04] * 4]
    found = warm_up(subject, clock_of(monkeypatch, falling))
    assert found.stationary is True
    assert found.rounds == len(falling)
    assert found.request_s == 0.04


def test_times_that_never_settle_end_with_the_time_that_there_is(subject, monkeypatch):
    falling = (0.5 * 0.9**step for step in range(10_000))
    found = warm_up(subject, clock_of(monkeypatch, falling), most_s=0.01)
    assert found.stationary is False


def test_one_long_request_is_enough(subject, monkeypatch):
    found = warm_up(subject, clock_of(monkeypatch, [3.0]))
    assert (found.rounds, found.request_s, found.stationary) == (1, 3.0, None)


def test_what_compiles_is_asked_every_request_first(subject, monkeypatch):
    asked = []
    monkeypatch.setattr(type(subject.recommender), "compiles", True)
    object.__setattr__(subject, "request", asked.append)
    found = warm_up(subject, clock_of(monkeypatch, itertools.repeat(0.02)))
    assert asked[:8] == [*range(8)]
    assert found.rounds == 8 + 1 + 2 * LEAST
