"""What an interrupted run had finished, and what a run failed at."""

import numpy as np
import pytest

from bench.ground.home import home
from bench.quality.evaluate import Lists
from bench.records.case import Outcome
from bench.running.unfinished import Unfinished
from bench.statistics.ranks import Ranks
from tests.bench.factories import make_case, make_record

OK = make_record("popularity")
BROKEN = make_record("sasrec", outcome=Outcome.ERROR, detail="broken", latency=None)
CRASHED = make_record("p5", outcome=Outcome.CRASHED, detail="ended with status 7", latency=None)


def lists():
    return Lists(np.array([1]), np.array([[2, 3]]), np.array([[0.5, 0.1]]), Ranks(np.array([0]), np.array([1])))


def test_finished_parts_come_back_in_the_same_run_alone():
    run, other = Unfinished(["a", 1]), Unfinished(["a", 2])
    assert (run.record(OK.case), run.timed(OK.case), run.lists("key")) == (None, None, None)
    run.keep_record(OK)
    run.keep_timed(OK)
    run.keep_lists("key", lists())
    again = Unfinished(["a", 1])
    assert again.record(OK.case) == again.timed(OK.case) == OK
    kept = again.lists("key")
    assert np.array_equal(kept.items, lists().items)
    assert np.array_equal(kept.scores, lists().scores)
    assert np.array_equal(kept.ranks.tied, lists().ranks.tied)
    assert other.record(OK.case) is None
    run.finish()
    assert again.record(OK.case) is None
    assert list(home("results", "unfinished").iterdir()) != [], "another run keeps its own"


@pytest.mark.parametrize("left", [0, 40])
def test_parts_that_were_torn_are_measured_again(left):
    run = Unfinished("run")
    run.keep_record(OK)
    run.keep_lists("key", lists())
    run.keep_answers(make_case("p5"), np.array([1]), np.array([[2]]), np.array([[0.5]]))
    for path in home("results", "unfinished").glob("*/*"):
        path.write_bytes(path.read_bytes()[:left])
    assert run.record(OK.case) is None
    assert run.lists("key") is None
    assert list(run.answers()) == []


def test_answers_come_back_with_their_case():
    run = Unfinished("answers")
    case = make_case("p5", decoder="exact")
    run.keep_answers(case, np.array([4, 2]), np.array([[2, 3], [3, 1]]), np.array([[0.5, 0.1], [0.2, 0.1]]))
    ((same, users, items, scores),) = run.answers()
    assert same == case
    assert (users.tolist(), items.tolist(), scores.tolist()) == ([4, 2], [[2, 3], [3, 1]], [[0.5, 0.1], [0.2, 0.1]])


def test_what_crashed_is_remembered_beyond_the_run_until_it_is_to_be_tried_again():
    """An error of a recommender costs nothing and is met again; a crash is not."""
    run = Unfinished("hazards")
    for record in (OK, BROKEN, CRASHED):
        run.keep_record(record)
    run.finish()
    later = Unfinished("hazards")
    assert later.record(CRASHED.case) is None
    assert later.hazard(BROKEN.case) is None
    found = later.hazard(CRASHED.case)
    assert (found.outcome, found.case) == (Outcome.CRASHED, CRASHED.case)
    assert found.detail == "ended with status 7 (not tried again since an earlier run; --retry-failed does)"
    later.forget_failures()
    assert later.hazard(CRASHED.case) is None


def test_trying_again_leaves_what_is_finished():
    run = Unfinished("again")
    for record in (OK, BROKEN, CRASHED):
        run.keep_record(record)
    run.forget_failures()
    assert run.record(OK.case) == OK
    assert run.record(BROKEN.case) is None
    assert run.record(CRASHED.case) is None
