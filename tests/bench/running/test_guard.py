"""A recommender that crashes, hangs or takes all memory costs itself alone."""

import time

import pytest
import torch

from bench.records.case import Outcome
from bench.records.cost import Memory
from bench.running import guard as guards
from bench.running.guard import Guard
from bench.running.runner import RunOptions
from bench.running.unfinished import NOT_AGAIN
from bench.suites.planning import Job, lay_out

TIMEOUT_S = 20
SOUND = ("Constant", "ByNumber", "ByNumberBackwards")


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Make a guard of a few of the recommenders that go wrong, and the cases that it is to measure."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setattr(guards, "GRACE_S", 1.0)
    made = []

    def make(*names, timeout_s=TIMEOUT_S, memory_bytes=2 * 2**30, **changes):
        recommenders = [f"tests.breaking:{name}" for name in names]
        settings = {"batch_sizes": [2], "k": 5, "case_seconds": 0.02, "min_rounds": 2} | changes
        job = Job(suite="smoke", recommenders=recommenders, changes=settings, device="cpu", threads=1)
        layout = lay_out(job)
        (piece,) = layout.pieces
        options = RunOptions(job, layout.suite, torch.device("cpu"), timeout_s, memory_bytes, 20, "pytest")
        found = Guard(options, piece.dataset, ["test", *names], lambda line: None)
        made.append(found)
        return found, piece.groups[0]

    yield make
    for one in made:
        one.close()


def outcomes(records):
    return {record.case.recommender.partition(":")[2]: record.outcome for record in records}


def details(records):
    return {record.case.recommender.partition(":")[2]: record.detail for record in records}


def test_a_crashed_a_hung_and_a_greedy_recommender_beside_three_sound_ones_give_six_rows(group):
    """The next run of the same code does not meet the three again; it does where it is asked to."""
    guard, cases = group("Constant", "Exits", "ByNumber", "Hangs", "Greedy", "ByNumberBackwards", timeout_s=8)
    records = guard.measure(cases)
    assert outcomes(records) == dict.fromkeys(SOUND, Outcome.OK) | {
        "Exits": Outcome.CRASHED,
        "Hangs": Outcome.TIMED_OUT,
        "Greedy": Outcome.OUT_OF_MEMORY,
    }
    said = details(records)
    assert said["Exits"] == "the recommender ended its process with status 7 while warming up"
    assert said["Hangs"].startswith("took longer than the 8 s that --case-timeout allows, and did not end by itself")
    assert said["Hangs"].endswith("while being built")
    turns = {tuple(record.latency.turns) for record in records if record.outcome is Outcome.OK}
    assert {turn for one in turns for turn in one} == set(range(10)), "the sound ones were timed side by side"
    assert all(isinstance(record.memory, Memory) for record in records if record.outcome is Outcome.OK)
    guard.unfinished.finish()

    again, cases = group("Constant", "Exits", "ByNumber", "Hangs", "Greedy", "ByNumberBackwards", timeout_s=8)
    started = time.monotonic()
    later = again.measure([case for case in cases if case.case.recommender.endswith(("Exits", "Hangs", "Greedy"))])
    assert time.monotonic() - started < 1
    assert all(NOT_AGAIN in record.detail for record in later)
    again.unfinished.forget_failures()
    (exits,) = again.measure([case for case in cases if case.case.recommender.endswith("Exits")])
    assert (exits.outcome, NOT_AGAIN in exits.detail) == (Outcome.CRASHED, False)


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("SystemExits", Outcome.CRASHED, "ended its process by SystemExit: 0"),
        ("Interrupts", Outcome.CRASHED, "ended its process by KeyboardInterrupt"),
        ("Segfaults", Outcome.CRASHED, "the process was ended by SIGSEGV while being indexed"),
        ("NotANumber", Outcome.ERROR, "NotANumber breaks the contract of lists: a score is NaN"),
        ("Short", Outcome.ERROR, "Short breaks the contract of lists: items has the shape"),
    ],
)
def test_whatever_a_recommender_does_is_a_row(group, name, outcome, said):
    guard, cases = group(name, "Constant")
    broken, sound = guard.measure(cases)
    assert (broken.outcome, sound.outcome) == (outcome, Outcome.OK), sound.detail
    assert broken.detail.startswith(said)
    assert broken.latency is None


def test_what_was_finished_before_a_crash_is_not_measured_again(group):
    """A case that is timed after others of its group were has turns of its own, since it was not beside them."""
    guard, cases = group("Constant", "ByNumber")
    (first,) = guard.measure(cases[:1])
    both = guard.measure(cases)
    assert both[0].latency.samples_s == first.latency.samples_s
    assert not set(both[0].latency.turns) & set(both[1].latency.turns)


def test_a_process_that_cannot_be_started_is_one_line(group, monkeypatch):
    guard, cases = group("Constant")

    def refuse(self):
        raise OSError("no more processes")

    monkeypatch.setattr("multiprocessing.context.ForkServerProcess.start", refuse)
    with pytest.raises(guards.UserError, match=r"no process could be started to measure in .*--in-process"):
        guard.measure(cases)
