"""Users who come back with one event more."""

import torch

from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure
from bench.measure.subject import Subject
from bench.scenarios.scenarios import SCENARIOS
from tests.tiny import build, catalogue, walks

CPU = torch.device("cpu")


def timed(*subjects, caught=Exception):
    plan = TimingPlan(case_s=0.01, min_rounds=2)
    return SCENARIOS["returning"].time(list(subjects), plan, Clock(CPU), caught=caught)


def subject(name, **settings):
    recommender = build(name, **settings)
    recommender.index(catalogue())
    return Subject(name, recommender, [walks(2), walks(2, seed=5)], 3, CPU)


def test_histories_are_remembered_without_their_newest_event_before_anything_is_timed():
    heard, one = [], subject("recmamba")
    remember = one.recommender.remember
    one.recommender.remember = lambda histories: (heard.extend(histories), remember(histories))[1]
    found = timed(one)["recmamba"]
    assert isinstance(found, Samples)
    assert [history.items for history in heard] == [history.items[:-1] for batch in one.batches for history in batch]


def test_who_keeps_nothing_is_timed_as_ever_and_who_cannot_is_a_row():
    found = timed(subject("sasrec"), subject("recmamba", as_released=True, max_length=8))
    assert isinstance(found["sasrec"], Samples)
    assert isinstance(found["recmamba"], Failure)
    assert "keeps no states" in found["recmamba"].detail
