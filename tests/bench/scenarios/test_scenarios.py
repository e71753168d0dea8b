"""Scenarios: which there are, and what a suite may ask for."""

import pytest
import torch

from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan
from bench.measure.subject import Subject
from bench.scenarios.scenarios import SCENARIOS
from bench.suites import cases, definitions
from models.errors import UserError
from tests.tiny import build, catalogue, walks

CPU = torch.device("cpu")


def expand(**changes):
    suite = definitions.Suite(description="toy", datasets=["toy"], recommenders=[{"name": "popularity"}], **changes)
    return cases.expand(suite, "toy", device=CPU, threads=1, chosen={}, untrained=False)


def test_a_closed_loop_sends_the_next_request_when_the_last_is_answered():
    recommender = build("popularity")
    recommender.index(catalogue())
    subjects = [Subject(name, recommender, [walks(2)], 3, CPU) for name in ("one", "other")]
    found = SCENARIOS["closed"].time(subjects, TimingPlan(case_s=0.01, min_rounds=6), Clock(CPU))
    assert set(found) == {"one", "other"}
    assert all(isinstance(samples, Samples) and len(samples.timed) >= 6 for samples in found.values())


def test_a_case_says_how_its_requests_arrive_where_that_is_not_the_usual(monkeypatch):
    ((usual,),) = expand()
    assert (usual.case.scenario, "closed" in usual.case.name) == ("closed", False)
    monkeypatch.setitem(SCENARIOS, "bursts", SCENARIOS["closed"])
    ((burst,),) = expand(scenario="bursts")
    assert (burst.case.scenario, burst.case.name) == ("bursts", f"{usual.case.name} | bursts")


def test_an_unknown_scenario_is_refused():
    with pytest.raises(UserError, match="there is no scenario 'bursts': use one of closed"):
        expand(scenario="bursts")
