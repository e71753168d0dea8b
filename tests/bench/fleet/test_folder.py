"""A queue as files: one holder a ticket, whoever dies, stalls or comes late."""

import os
import threading
from pathlib import Path

import pytest

from bench.fleet.folder import CLAIMED, LATE, RECORDS, SWEEP, Attempt, QueueFolder, fit_name, worker_name
from models.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A queue of four tickets."""
    queue = QueueFolder(tmp_path / "queue")
    queue.prepare({"tiny.suite.json": "{}"})
    queue.open("{}", 4)
    return queue


def grow_old(folder, held, seconds):
    """Let a claim look as if its holder had been silent for so long."""
    path = folder.root / CLAIMED / held.name
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def test_a_ticket_has_one_holder_however_many_want_it(folder):
    """Eight threads race for every ticket."""
    won, start = [], threading.Barrier(8)

    def worker(name):
        start.wait()
        won.extend(held for one in folder.waiting() if (held := folder.claim(one, name)) is not None)

    racers = [threading.Thread(target=worker, args=(f"w{number}",)) for number in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(one.number for one in won) == [1, 2, 3, 4]
    assert folder.claimed() == sorted(won)
    assert folder.waiting() == []


def test_a_claim_is_as_young_as_its_holder(folder):
    """A ticket that waited for long is not taken for that of a dead worker the moment it is claimed."""
    wanted = folder.waiting()[0]
    os.utime(folder.root / "waiting" / wanted.name, (1, 1))
    assert folder.claim(wanted, "w") is not None
    assert folder.put_back_dead(60) == []


def test_the_ticket_of_a_silent_worker_is_tried_again_and_he_cannot_hand_in(folder):
    held = folder.claim(folder.waiting()[0], "dead")
    assert folder.beat(held)
    grow_old(folder, held, 100)
    assert folder.put_back_dead(60) == [held]
    assert folder.waiting()[0] == Attempt(1, 2)
    assert folder.losses(1) == 1
    assert not folder.beat(held)
    again = folder.claim(Attempt(1, 2), "alive")
    assert folder.hand_in(again, "good")
    assert not folder.hand_in(held, "late")  # it was only slow
    assert [folder.results(one) for one in folder.done()] == ["good"]
    assert [path.name for path in (folder.root / LATE).iterdir()] == [f"{held.name}.json"]


def test_a_worker_that_lives_keeps_its_ticket(folder):
    held = folder.claim(folder.waiting()[0], "alive")
    grow_old(folder, held, 100)
    folder.beat(held)
    assert folder.put_back_dead(60) == []


def test_what_is_given_back_is_no_loss(folder):
    held = folder.claim(folder.waiting()[0], "asked-to-end")
    assert folder.put_back(held)
    assert folder.losses(1) == 0
    assert not folder.put_back(held)


def test_what_was_done_and_is_tried_again_stays_in_the_records(folder):
    held = folder.claim(folder.waiting()[0], "w")
    assert folder.hand_in(held, "first")
    assert folder.reopen(held)
    assert folder.done() == []
    assert (folder.root / RECORDS / f"{held.name}.json").read_text() == "first"


def test_a_rename_that_was_done_and_said_to_have_failed_is_a_claim(folder, monkeypatch):
    """As over a network, where the answer is lost and the question is asked again."""
    rename = Path.rename

    def lost(self, target):
        rename(self, target)
        raise FileNotFoundError(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lost)
        held = folder.claim(folder.waiting()[0], "w")
    assert held is not None
    assert folder.beat(held)


def test_workers_see_all_tickets_or_none(tmp_path):
    """Whoever fills may be interrupted, and fills again."""
    queue = QueueFolder(tmp_path / "queue")
    queue.prepare({})
    (queue.root / "waiting" / "0009.1").touch()
    with pytest.raises(UserError, match="there is no queue of cases"):
        queue.sweep()
    queue.prepare({})
    queue.open("{}", 2)
    assert [one.number for one in queue.waiting()] == [1, 2]
    assert queue.sweep() == "{}"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds something else, thesis\.tex; give another folder"):
        QueueFolder(tmp_path).prepare({SWEEP: "{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_names_of_workers_differ_and_can_be_names_of_files():
    assert worker_name("a machine/of mine") != worker_name("a machine/of mine")
    assert fit_name("a machine/of mine") == "a-machine-of-mine"
    assert fit_name("..") == "machine"
    assert Attempt.read(Attempt(3, 2, worker_name("x.y_z")).name).number == 3
    assert Attempt.read(".0003.1.tmp") is None
