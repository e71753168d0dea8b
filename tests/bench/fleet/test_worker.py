"""Workers: what they take, what they leave to others, and what comes of a queue."""

import json
import tempfile

import pytest
from typer.testing import CliRunner

from bench import reproduce
from bench.cli.loading import Loading
from bench.fleet import measuring, worker
from bench.fleet.folder import QueueFolder
from bench.fleet.gathering import gather, wait
from bench.fleet.launching import share, sweep_of
from bench.fleet.measuring import Doer
from bench.fleet.results import HandedIn, by_machine
from bench.fleet.sweep import Sweep, TicketKind, fill
from bench.fleet.turns import turn
from bench.fleet.worker import QueueWorker, WorkerOptions, check_name, kinds_of, retry_failed
from bench.records import store
from bench.records.case import Outcome
from models.errors import UserError
from tests.bench.factories import make_case, make_failure, make_provenance, make_record
from tests.bench.fleet.small import CASES, SUITE, filled, write_suite


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(worker, "POLL_S", 0.01)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # whoever else measures on this machine is no matter


def worker_of(queue, machine="m", **changes):
    options = WorkerOptions(**{"machine": machine, "threads": 1, "command": "python -m bench.worker"} | changes)
    return QueueWorker(queue, options, lambda line: None)


def measured(monkeypatch, made):
    """Let tickets give what `made(ticket, attempt)` says, without measuring."""
    monkeypatch.setattr(Doer, "measure", lambda self, ticket, attempt: made(ticket, attempt))


def one_record(ticket, attempt):
    case = make_case("sasrec", batch_size=1 + ticket.place)
    return [make_record(case=case, provenance=make_provenance(attempt=attempt.attempt))]


def rows(queue):
    """What is done: the batch size of every record, which here names it."""
    parts = [HandedIn.read(queue, one) for one in queue.done()]
    return sorted(record.case.batch_size for part in parts for record in part.records)


@pytest.mark.slow
def test_one_worker_empties_a_queue_and_its_results_are_a_run_of_pytest_benchmark(tmp_path, monkeypatch):
    """All of it for once, without anything made up."""
    queue, sweep = filled(tmp_path, text=SUITE.replace("[1, 2, 3, 4, 5, 6]", "[1, 2]"))
    assert worker_of(queue).run() == 2
    assert gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=False) == []
    run = store.read(tmp_path / "out" / "run.json.gz")
    assert [record.outcome for record in run.records] == [Outcome.OK] * 4
    assert {record.suite for record in run.records} == {"tiny"}
    assert {record.provenance.attempt for record in run.records} == {1}
    assert {record.case.threads for record in run.records} == {1}
    from pytest_benchmark.storage.file import FileStorage  # what its own `compare` reads with

    content = json.loads(
        json.dumps(next(iter(by_machine([HandedIn.read(queue, one) for one in queue.done()]).values())))
    )
    (tmp_path / "stored" / "Linux").mkdir(parents=True)
    (tmp_path / "stored" / "Linux" / "0001_queue.json").write_text(json.dumps(content))
    storage = FileStorage(str(tmp_path / "stored"), None, "Linux")
    assert len(list(storage.load_benchmarks("0001"))) == 4


def test_a_group_is_one_machines_and_machines_are_never_pooled(tmp_path, monkeypatch):
    measured(monkeypatch, one_record)
    queue, sweep = filled(tmp_path)
    assert [ticket.kind for ticket in sweep.tickets] == [TicketKind.CASES] * 6
    assert sweep.tickets[1].what.endswith("float32, batch 2: tests.breaking:ByNumber, tests.breaking:ByNumberBackwards")
    first = worker_of(queue, "one")
    first._do(sweep.ticket(1), queue.claim(queue.waiting()[0], "one-1-a"))
    assert worker_of(queue, "two").run() == 5
    gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=False)
    counts = {name: len(store.read(tmp_path / "out" / name / "run.json.gz").records) for name in ("one", "two")}
    assert counts == {"one": 1, "two": 5}
    assert not (tmp_path / "out" / "run.json.gz").exists()


def test_what_is_asked_to_end_is_had_by_others_at_once(tmp_path, monkeypatch):
    queue, _ = filled(tmp_path)

    def interrupted(ticket, attempt):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        measured(patch, interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker_of(queue).run()
    assert queue.claimed() == []
    assert len(queue.waiting()) == 6
    measured(monkeypatch, one_record)
    assert worker_of(queue).run() == 6
    assert rows(queue) == [1, 2, 3, 4, 5, 6]
    assert queue.losses(1) == 0


def test_a_group_that_takes_workers_with_it_becomes_rows_that_say_so(tmp_path, monkeypatch):
    """Three workers died over the first ticket."""
    queue, sweep = filled(tmp_path)
    for attempt in range(1, 4):
        assert queue.bury(queue.claim(queue.waiting()[0], f"w{attempt}"))
    doer = Doer(queue, sweep, machine_name="m", threads=1, command="python", say=lambda line: None)
    records = doer.measure(sweep.ticket(1), queue.claim(queue.waiting()[0], "w4"))
    assert [record.outcome for record in records] == [Outcome.CRASHED] * 2
    assert records[0].detail == "3 workers ended while they measured this group of cases"
    assert records[0].provenance.attempt == 4


def test_a_retried_case_is_a_new_row_and_the_old_one_stays(tmp_path, monkeypatch):
    queue, sweep = filled(tmp_path)
    measured(monkeypatch, lambda ticket, attempt: [make_failure("p5", Outcome.TIMED_OUT, f"ticket {ticket.place}")])
    worker_of(queue).run()
    failed = gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=False)
    assert len(failed) == 6
    assert failed[0].endswith("timed out: ticket 0")
    assert retry_failed(queue, sweep) == 6
    measured(monkeypatch, one_record)
    assert worker_of(queue).run() == 6
    assert retry_failed(queue, sweep) == 0
    assert len(list((queue.root / "records").iterdir())) == 12
    assert gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=False) == []
    run = store.read(tmp_path / "out" / "run.json.gz")
    assert [record.provenance.attempt for record in run.records] == [2] * 6


def test_only_one_times_on_a_machine_and_nobody_trains_beside_it():
    with turn(alone=False) as first, turn(alone=False) as second, turn(alone=True) as third:
        assert (first, second, third) == (True, True, False)
    with turn(alone=True) as first, turn(alone=True) as second, turn(alone=False) as third:
        assert (first, second, third) == (True, False, False)


def test_what_is_timed_waits_for_the_weights_of_its_dataset(tmp_path, monkeypatch):
    """Nothing is trained here: it is the order that counts."""
    did = []
    monkeypatch.setattr(Doer, "train", lambda self, ticket: did.append(ticket.what) or "")
    measured(monkeypatch, lambda ticket, attempt: did.append("timed") or one_record(ticket, attempt))
    text = (
        'description = "tiny"\ndatasets = ["synthetic-200"]\nleaks = false\nrecommenders = [{ name = "popularity" }, '
    )
    queue, sweep = filled(tmp_path, text=text + '{ name = "sasrec", seeds = [0, 1] }]\n')
    assert [ticket.kind for ticket in sweep.tickets] == [TicketKind.WEIGHTS] * 3 + [TicketKind.CASES]
    assert sweep.tickets[3].after == [1, 2, 3]
    timing = worker_of(queue, kinds=kinds_of("timing"), stay=False)
    assert timing.run() == 0
    assert worker_of(queue, kinds=kinds_of("training"), stay=False).run() == 3
    assert timing.run() == 1
    assert did[0] == "popularity on synthetic-200 (seed 0)"
    assert did[-1] == "timed"


@pytest.mark.minutes
def test_weights_that_a_worker_trains_are_timed_by_another(tmp_path):
    """All of it: trained and evaluated below the queue's folder, timed from there, gathered with its studies."""
    text = (
        'description = "tiny"\ndatasets = ["synthetic-200"]\nleaks = false\ntrain_minutes = 0.05\ncase_seconds = 0.2\n'
    )
    text += 'recommenders = [{ name = "popularity" }, { name = "sasrec" }]\n'
    queue, sweep = filled(tmp_path, text=text, quality_users=20)
    assert worker_of(queue, "one", kinds=kinds_of("training"), stay=False).run() == 2
    assert worker_of(queue, "two", kinds=kinds_of("timing")).run() == 1
    assert gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=True) == []
    run = store.read(tmp_path / "out" / "run.json.gz")
    assert [record.outcome for record in run.records] == [Outcome.OK] * 2
    studies = store.read_studies(tmp_path / "out" / "studies.json.gz").studies
    trained = next(one.weights.sha256 for one in studies.evaluations if one.case.recommender == "sasrec")
    assert trained == next(one.weights.sha256 for one in run.records if one.case.recommender == "sasrec")
    assert (tmp_path / "out" / "index.html").exists()


def test_filling_again_goes_on_and_another_suite_is_refused(tmp_path):
    queue, _ = filled(tmp_path)
    queue.claim(queue.waiting()[0], "w")
    again, _ = filled(tmp_path)
    assert len(again.waiting()) == 5
    with pytest.raises(UserError, match="holds another queue, with another threads; give another folder"):
        filled(tmp_path, threads=2)


def test_other_code_is_refused(tmp_path, monkeypatch):
    queue, _ = filled(tmp_path)
    monkeypatch.setattr("bench.measure.machine.code_identity", lambda: "f" * 40)
    with pytest.raises(UserError, match="and this code is another, ffffffffffff: check the first out"):
        worker_of(queue)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": "compact"}, "has random weights or sizes of its own; leave --size and --only out"),
        ({"sources": ["ml-1m"]}, "--datasets ml-1m: suite .* has synthetic"),
    ],
)
def test_options_that_a_suite_has_no_use_for_are_refused(tmp_path, changes, words):
    options = {"size": None, "only": [], "sources": [], "loading": Loading(), "dead_after_s": 60.0}
    with pytest.raises(UserError, match=words):
        sweep_of(str(write_suite(tmp_path)), **options | changes)


def test_waiting_tells_how_it_goes_on_and_puts_back_what_nobody_lives_for(tmp_path, monkeypatch):
    measured(monkeypatch, one_record)
    queue, sweep = filled(tmp_path)
    said, turns = [], []

    def look():
        turns.append(1)
        worker_of(queue, stay=False).run()

    wait(queue, sweep, said.append, look)
    assert said == ["0 of 6 tickets done", "6 of 6 tickets done"]
    assert turns == [1]


def test_a_queue_without_anything_done_writes_nothing(tmp_path):
    sweep = sweep_of(
        str(write_suite(tmp_path)), size=None, only=[], sources=[], loading=Loading(), device="cpu", dead_after_s=60.0
    )
    share(sweep, tmp_path / "queue", tmp_path / "out", lambda line: None, wait_for=False, render=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="nothing is done yet"):
        gather(fill(sweep, tmp_path / "queue"), sweep, tmp_path / "out", "", render=False)


def test_damaged_results_are_told_by_their_place(tmp_path, monkeypatch):
    measured(monkeypatch, one_record)
    queue, sweep = filled(tmp_path)
    worker_of(queue).run()
    done = queue.done()[0]
    (queue.root / "records" / f"{done.name}.json").write_text('{"machine": ')
    with pytest.raises(UserError, match=rf"{done.name}.json: .*; delete"):
        gather(queue, sweep, tmp_path / "out", "", render=False)
    (queue.root / "queue.json").write_text("[]")
    with pytest.raises(UserError, match=r"queue\.json: the queue: .*; fill another folder"):
        Sweep.read(queue)


def test_words_that_mean_nothing_are_refused():
    with pytest.raises(UserError, match="--only sleeping: say training or timing"):
        kinds_of("sleeping")
    with pytest.raises(UserError, match=r"--machine '\.\./up': names no machine"):
        check_name("../up")
    assert measuring.MOST_LOSSES == 3
    assert CASES == 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smoke", "--no-wait"], "go with --queue or --ray"),
        (["smoke", "--timing-threads", "1"], "go with --queue or --ray"),
        (["smoke", "--queue", "q", "--jobs", "2"], "--queue and --ray go with a suite, without --kept"),
        (["gpu", "--queue", "q"], "--queue and --ray go with a suite"),
    ],
)
def test_options_of_queues_and_others_do_not_mix(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(reproduce.app, words)
    assert said in str(result.exception)
    assert not (tmp_path / "q").exists()


def test_the_command_fills_and_tells_who_does_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [str(write_suite(tmp_path)), "--queue", "q", "--no-wait", "--device", "cpu", "--timing-threads", "1"]
    result = CliRunner().invoke(reproduce.app, words)
    assert result.exit_code == 0, result.exception
    assert len(list((tmp_path / "q" / "waiting").iterdir())) == 6
    assert Sweep.read(QueueFolder(tmp_path / "q")).threads == 1
