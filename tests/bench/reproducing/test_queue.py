"""Queues: what stands in them, what comes next, and what a file may not say."""

import pytest
import torch

from bench.reproducing.queue import ROW, Ending, JobRow, Queue, QueuedJob, Size, State, digest, queues, read_queue
from bench.suites import cases
from models.backbones import is_preset
from models.errors import UserError

GPU = read_queue("gpu")
HEAD = "description = ''\nsizes = {compact={share=1.0}}\n"


def job(name="one", **changes):
    return QueuedJob(**{"name": name, "does": "something", "minutes": 2, "command": ["bench", "--names"]} | changes)


def row(of, size="compact", **changes):
    values = {
        "job": of.name,
        "outcome": Ending.DONE,
        "seconds": 1.5,
        "started": "2026-01-01T00:00:00+00:00",
        "device": "cpu",
    }
    return JobRow(**values | {"digest": digest(of, size)} | changes)


def write_row(state, of, **changes):
    folder = state.folder(of.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROW).write_text(row(of, state.size, **changes).model_dump_json())


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return State("mine", "compact")


def test_the_gpu_queue_has_jobs_of_minutes_in_the_order_of_their_worth():
    names = [one.name for one in GPU.jobs]
    assert names[:3] == ["cuda-tests", "beauty-p5", "beauty-tiger"]
    assert all(one.minutes <= (5 if one.trains else 3) for one in GPU.jobs)
    assert GPU.sizes["t5-small"].share == 1
    assert all(is_preset(size) for size in GPU.sizes)
    assert queues() == {"gpu": GPU.description}


@pytest.mark.parametrize("one", [one for one in GPU.jobs if one.suite is not None], ids=lambda one: one.name)
@pytest.mark.parametrize(("size", "device"), [("t5-small", "cuda"), ("compact", "cpu")])
def test_each_suite_of_the_gpu_queue_names_cases_that_there_are(one, size, device):
    suite = one.measured(size, GPU.size(size), decoder=GPU.decoder[device])
    for dataset in suite.datasets:
        groups = cases.expand(
            suite, dataset, device=torch.device(device), threads=1, chosen={}, untrained=bool(suite.untrained)
        )
        assert groups
        decoders = {planned.case.decoder for group in groups for planned in group}
        assert not {decoder for decoder in decoders if decoder and "{" in decoder}
    minutes = [entry.train_minutes for entry in suite.recommenders if entry.train_minutes]
    assert all(0 < value < one.minutes for value in minutes)


def test_a_size_scales_minutes_and_seconds_and_fills_in_names():
    entry = {"name": "p5", "settings": {"preset": "{size}"}, "decoders": ["{decoder}"], "train_minutes": 2}
    suite = {"description": "x", "datasets": ["synthetic"], "recommenders": [entry], "case_seconds": 3}
    one = job(command=[], suite=suite)
    scaled = one.measured("t5-small", Size(share=0.5), decoder="compiled")
    assert scaled.recommenders[0].settings == {"preset": "t5-small"}
    assert scaled.recommenders[0].decoders == ["compiled"]
    assert (scaled.recommenders[0].train_minutes, scaled.case_seconds) == (1, 1.5)
    assert one.measured("compact", Size(share=0.01), decoder="exact").recommenders[0].decoders == ["exact"]
    assert one.measured("compact", Size(share=0.01), decoder="exact").case_seconds == 0.2
    rehearsed = one.measured("compact", Size(share=1, dataset="synthetic-50"), decoder="exact")
    assert (rehearsed.datasets, rehearsed.min_count) == (["synthetic-50"], 0)
    assert job().measured("compact", Size(share=1), decoder="exact") is None


def test_one_part_of_a_named_suite_is_taken():
    one = job(command=[], suite="gpu", part="T5-base, 20 beams")
    found = one.measured("t5-small", Size(share=1), decoder="compiled")
    assert [part.title for part in found.parts] == ["T5-base, 20 beams"]
    with pytest.raises(UserError, match="suite gpu has no part 'nope'"):
        job(command=[], suite="gpu", part="nope").measured("t5-small", Size(share=1), decoder="compiled")


def test_the_first_job_that_is_not_over_and_ends_in_time_comes_next(state):
    queue = Queue(
        description="x",
        sizes={"compact": Size(share=0.5)},
        jobs=[job("gpu", needs_cuda=True), job("long", minutes=8), job("short"), job("last")],
    )

    def follows(minutes=None, *, on_cuda=False, retry=()):
        found = state.next(queue, minutes, on_cuda=on_cuda, retry=set(retry))
        return found and found.name

    assert follows(on_cuda=True) == "gpu"
    assert follows() == follows(4) == "long"
    assert follows(3.9) == follows(1) == "short"
    assert follows(0.9) is None
    write_row(state, queue.jobs[1], outcome=Ending.FAILED)
    write_row(state, queue.jobs[2])
    assert follows() == "last"
    assert follows(retry=["long"]) == "long"
    write_row(state, queue.jobs[3])
    assert follows() is None


def test_a_job_that_was_changed_or_whose_row_is_torn_is_not_over(state):
    one = job()
    write_row(state, one)
    assert state.row(one).seconds == 1.5
    assert state.files(one).keys() == {ROW}
    assert state.row(job(minutes=3)) is None
    path = state.folder("one") / ROW
    path.write_text(path.read_text()[:-9])
    assert state.row(one) is None
    assert state.files(one) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "jobs = 3", "jobs: "),
        (HEAD + "jobs = []", "jobs: "),
        ("[[jobs]]\nname = 'a'", "description: "),
        (
            HEAD + "[[jobs]]\nname='A b'\ndoes=''\nminutes=1\ncommand=['x']",
            "name: ",
        ),
        (
            HEAD + "[[jobs]]\nname='a'\ndoes=''\nminutes=1",
            "a command or a suite",
        ),
        (
            HEAD + "[[jobs]]\nname='a'\ndoes=''\nminutes=1\ncommand=['x']\npart='y'",
            "a part goes with the name of a suite",
        ),
        (
            HEAD + "" + "[[jobs]]\nname='a'\ndoes=''\nminutes=1\ncommand=['x']\n" * 2,
            "two jobs have one name",
        ),
    ],
)
def test_a_file_that_holds_no_sound_queue_is_one_line(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_queue(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_what_is_no_queue_is_left_to_suites(tmp_path):
    for name in ("paper", "nosuch", "", str(tmp_path / "no.toml")):
        assert read_queue(name) is None
    (tmp_path / "suite.toml").write_text("description = 'a suite'")
    assert read_queue(str(tmp_path / "suite.toml")) is None
    (tmp_path / "torn.toml").write_text("description = ")
    with pytest.raises(UserError, match=r"torn\.toml: invalid TOML"):
        read_queue(str(tmp_path / "torn.toml"))


def test_a_size_that_the_queue_does_not_know_is_refused():
    with pytest.raises(UserError, match="--size t5-base: this queue runs at t5-small, compact"):
        GPU.size("t5-base")
