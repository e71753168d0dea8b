"""The strongest of each side against the machine's bound."""

import pytest
from rich.console import Console

from bench.face.attained import attained, attained_table, profile_of_missed
from bench.records.conditions import Roofline
from bench.records.rankers import Ranked, Ranking
from bench.suites.definitions import Suite, changed, read_suite
from tests.bench.factories import make_case, make_record

GOALS = {"one pass": {1: 0.2, 32: 0.6}, "beams": {32: 0.6}}


def bounded(median_s, bound_s, recommender="lite-llm4rec", **case):
    bound = Roofline(flops_per_s=1e9, bytes_per_s=1e9, flops=1, bytes=1, touched_bytes=1, bound_s=bound_s)
    changes = {}
    if "ranker" in case:
        case["ranking"] = Ranking(kind="one")
        changes["ranked"] = Ranked(build_s=0, bytes=0, users=9, recall=0.5, identical=0)
    return make_record(case=make_case(recommender, **case), median_s=median_s, roofline=bound, **changes)


PLAIN, COMPILED = bounded(0.010, 0.005), bounded(0.008, 0.005, compiled=True)
COARSE = bounded(0.001, 0.001, ranker="ivf")
BEAMS = bounded(0.040, 0.010, "p5", decoder="exact", beam_width=20)
OTHER = bounded(0.001, 0.001, "sasrec")


def test_the_fastest_of_each_side_is_held_to_its_goal():
    """Not one that loses much, nor one that claims nothing; nor batches without a goal."""
    larger = bounded(0.001, 0.001, batch_size=64)
    found = attained([PLAIN, COMPILED, COARSE, BEAMS, OTHER, larger], GOALS)
    assert [(one.side, one.record) for one in found] == [("one pass", COMPILED), ("beams", BEAMS)]
    assert [one.share for one in found] == pytest.approx([0.625, 0.25], rel=0.02)
    assert [one.missed for one in found] == [False, True]


def test_each_model_that_generates_has_a_bound_of_its_own():
    """One with other settings does other work: the faster of two decoders is held, not the smaller of two models."""
    large = [bounded(time, 0.3, "p5", settings={"preset": "t5-small"}, decoder="exact") for time in (0.6, 0.5)]
    results = attained([BEAMS, *large], GOALS)
    assert [result.record for result in results] == [BEAMS, large[1]]


def test_what_was_missed_is_told_with_where_its_time_goes():
    found = attained([COMPILED, BEAMS], GOALS)
    console = Console(width=160)
    with console.capture() as capture:
        console.print(attained_table(found))
        console.print(profile_of_missed(found))
    text = capture.get()
    assert "reached" in text
    assert "missed" in text
    assert text.count("p5 (exact, beam 20)") == 2
    assert profile_of_missed(attained([COMPILED], GOALS)) is None


def test_without_goals_there_is_nothing_to_tell():
    assert attained([PLAIN, BEAMS], {}) == []


def test_goals_hold_for_the_suite_as_it_is():
    suite = read_suite("quick")
    assert suite.bound_goals["cpu"]["one pass"] == {1: 0.2, 32: 0.6}
    assert changed(suite, case_seconds=1.0).bound_goals == suite.bound_goals
    assert changed(suite, k=10).bound_goals == {}
    assert Suite(description="a test", datasets=["toy"], recommenders=[{"name": "sasrec"}]).bound_goals == {}
