"""A queue that is run: within its budget, one job after the other, whatever becomes of each."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import reproduce
from bench.ground.textfiles import packed
from bench.records import store
from bench.reproducing.kept import RUN, STUDIES
from bench.reproducing.packed import Listed, pack, restore, unpack
from bench.reproducing.queue import ROW
from bench.training.checkpoints import Card
from models.errors import UserError
from tests.bench.data.conftest import write_pair
from tests.bench.factories import make_run, write_results

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("forked_commands")

QUICK = """
description = "quick"
sizes = { compact = { share = 1.0 }, t5-small = { share = 0.5 } }

[[jobs]]
name = "names"
does = "lists names"
minutes = 0.5
command = ["bench", "--names"]

[[jobs]]
name = "fails"
does = "fails"
minutes = 0.5
command = ["bench.train", "nosuch"]

[[jobs]]
name = "checkout"
does = "needs what is not there"
minutes = 0.5
command = ["pytest", "{root}/tests/nosuch.py::test"]

[[jobs]]
name = "long"
does = "takes longer than it said"
minutes = 0.02
command = ["timeit", "-n1", "-r1", "__import__('time').sleep(60)"]

[[jobs]]
name = "gpu"
does = "needs a GPU"
minutes = 0.5
needs_cuda = true
command = ["bench", "--names"]

[[jobs]]
name = "last"
does = "leaves a file"
minutes = 0.5
command = ["bench.kernels", "popularity", "--device", "{device}", "--out", "{out}/kernels.csv", "{data}"]
"""

TRAINS = """
description = "trains"
sizes = { compact = { share = 1.0 } }

[[jobs]]
name = "beside"
does = "trains one and times two"
minutes = 3
trains = true
[jobs.suite]
description = "tiny"
datasets = ["DATA"]
leaks = false
own_process = false
threads = 1
k = 5
case_seconds = 0.05
min_rounds = 3
recommenders = [
  { name = "popularity" },
  { name = "sasrec", train_minutes = 0.02 },
]

[[jobs]]
name = "untrained"
does = "random weights"
minutes = 3
[jobs.suite]
description = "tiny"
datasets = ["DATA"]
untrained = true
own_process = false
threads = 1
k = 5
case_seconds = 0.05
min_rounds = 3
recommenders = [{ name = "sasrec", settings = { preset = "{size}" } }]
"""


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(reproduce.app, [*words, "--device", "cpu"])


def outcomes(folder="back"):
    return {row.job: (row.outcome, row.detail) for row in unpack(Path(folder))[0].rows}


def test_a_job_that_fails_is_a_row_and_the_next_one_runs(tmp_path):
    Path("quick.toml").write_text(QUICK)
    result = run("quick.toml", "--out", "back", "--size", "compact")
    assert result.exit_code == 0, result.output
    found = outcomes()
    assert found["names"] == found["last"] == ("done", "")
    assert found["fails"][0] == found["checkout"][0] == "failed"
    assert "unknown recommender 'nosuch'" in found["fails"][1]
    assert "this job needs a checkout" in found["checkout"][1]
    assert found["long"][0] == "timed out"
    assert "gpu" not in found
    held = unpack(Path("back"))[1]
    assert b"sasrec" in held["names"]["log.txt"]
    assert held["last"]["kernels.csv"].startswith(b"recommender,kernel,calls,microseconds\n")

    before = (tmp_path / "back" / "queue.json").read_bytes()
    assert run("quick.toml", "--out", "back", "--size", "compact").exit_code == 0
    assert (tmp_path / "back" / "queue.json").read_bytes() == before, "nothing was done again"
    again = run("quick.toml", "--out", "back", "--size", "compact", "--retry-failed", "--budget-minutes", "0.6")
    assert "fails: failed" in again.stderr
    assert "names:" not in again.stderr


def test_a_dry_run_lists_what_is_done_and_what_comes_next():
    Path("quick.toml").write_text(QUICK)
    result = run("quick.toml", "--out", "back", "--dry-run", "--budget-minutes", "1", "--size", "t5-small")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["names", "0.2", "next"] in [line[:3] for line in lines]
    assert ["gpu", "0.2", "needs"] in [line[:3] for line in lines]
    assert not Path("back").exists()


def test_what_an_earlier_call_brought_back_is_kept_on_another_machine(monkeypatch, tmp_path):
    Path("quick.toml").write_text(QUICK)
    run("quick.toml", "--out", "back")
    held = unpack(Path("back"))[1]
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "elsewhere"))
    result = run("quick.toml", "--kept", "back", "--out", "later")
    assert result.exit_code == 0, result.output
    assert "names:" not in result.stderr
    assert unpack(Path("later"))[1] == held
    refused = run("quick.toml", "--kept", "back", "--out", "later", "--size", "t5-small")
    assert "holds queue quick at size compact" in str(refused.exception)


def test_a_budget_is_kept_and_what_is_cut_is_told():
    """No job is begun that would end too late, and one that takes longer than it said is ended."""
    Path("late.toml").write_text(
        "description = 'x'\nsizes = { compact = { share = 1.0 } }\n"
        "[[jobs]]\nname = 'late'\ndoes = 'sleeps'\nminutes = 0.05\n"
        """command = ['timeit', '-n1', '-r1', "__import__('time').sleep(60)"]\n"""
        "[[jobs]]\nname = 'next'\ndoes = 'lists'\nminutes = 0.04\ncommand = ['bench', '--names']\n"
    )
    started = time.monotonic()
    assert run("late.toml", "--out", "back", "--budget-minutes", "0.06").exit_code == 0
    assert time.monotonic() - started < 30
    assert outcomes().keys() == {"late"}
    assert outcomes()["late"][0] == "timed out"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quick.toml", "--size", "t5-base"], "this queue runs at compact, t5-small"),
        (["quick.toml", "--only", "p5"], "is a queue, whose jobs say what is done"),
        (["quick.toml", "--kept", "nowhere"], "nowhere: holds no queue.json"),
        (["paper", "--dry-run"], "go with a queue, such as gpu"),
        (["quick.toml", "--pages", "pages"], "holds no queue.json"),
    ],
)
def test_wrong_use_is_one_line(words, said):
    Path("quick.toml").write_text(QUICK)
    result = run(*words, "--out", "back")
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)


@pytest.mark.minutes
def test_a_queue_that_is_killed_goes_on_and_brings_back_all_that_it_made(tmp_path):
    """Killed in its second job, whose own processes must end, too: what was finished stays, the rest is done."""
    rows = [(f"user{user}", f"item{(user + place) % 25}", place) for user in range(40) for place in range(8)]
    data = write_pair(tmp_path / "tiny", rows)
    Path("trains.toml").write_text(TRAINS.replace("DATA", str(data)))
    command = [sys.executable, "-m", "bench.reproduce", "trains.toml", "--out", "back", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def killed_at(word):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            for line in process.stderr:
                if word in line:
                    time.sleep(1)
                    os.kill(process.pid, signal.SIGKILL)
                    break

    killed_at("untrained: random weights")
    assert outcomes() == {"beside": ("done", "")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "beside:" not in done.stderr
    assert outcomes() == {"beside": ("done", ""), "untrained": ("done", "")}

    held = unpack(Path("back"))[1]
    cards = [Card.model_validate_json(content) for name, content in held["beside"].items() if name.startswith("cards/")]
    assert {card.recommender for card in cards} == {"sasrec"}
    assert all(card.curve and card.curve[-1].metrics["NDCG@10"] >= 0 for card in cards)
    assert len(list(Path("back").iterdir())) <= 8
    for job, cases in (("beside", 2), ("untrained", 1)):
        restore(held[job], tmp_path / job)
        assert len(store.read(tmp_path / job / RUN).records) == cases
    studies = store.read_studies(tmp_path / "beside" / STUDIES).studies
    assert {one.case.recommender for one in studies.evaluations} == {"popularity", "sasrec"}
    commands = {one.provenance.command for one in studies.evaluations}
    commands |= {one.provenance.command for one in store.read(tmp_path / "beside" / RUN).records}
    assert commands == {"python -m bench.reproduce trains.toml --out back --device cpu"}


def test_what_came_back_is_rendered_anywhere(tmp_path):
    results = {RUN: packed(Path(RUN), write_results(tmp_path / "run.json", make_run()).read_text()), ROW: b"{}"}
    listed = Listed(queue="quick", size="compact", rows=[])
    pack(Path("back"), listed, {"one": results, "two": {ROW: b"{}", "kernels.csv": b"a"}}, made_by="a test")
    Path("quick.toml").write_text(QUICK)
    assert run("quick.toml", "--kept", "back", "--pages", "pages").exit_code == 0
    assert (tmp_path / "pages" / "one" / "index.html").is_file()
    assert (tmp_path / "pages" / "two" / "kernels.csv").read_bytes() == b"a"
    assert not (tmp_path / "pages" / "two" / "index.html").exists()
