"""The whole gate on small git repositories: what passes, what fails, for which reason."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bench
from bench.gate.__main__ import app

ROOT = Path(bench.__file__).parent.parent

pytestmark = pytest.mark.usefixtures("forked_commands")

SUITE = """
description = "two cases"
datasets = ["synthetic"]
synthetic = { users = 80, items = 60, length = 8 }
batch_sizes = [8]
k = 5
case_seconds = 0.1
min_rounds = 12
margin = 0.5

[[recommenders]]
name = "mine:Mine"

[[recommenders]]
name = "mine:Other"
"""

MINE = """
import os
import time

import torch
from transformers import BatchFeature

from models.ragged import pad
from models.recommender import Recommender
from models.ranking.lists import top_items

LAYERS = 2


class Mine(Recommender):
    def __init__(self, items):
        super().__init__()
        torch.manual_seed(0)
        self.vectors = torch.nn.Embedding(items + 1, 64)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(64, 64) for _ in range(LAYERS))

    @classmethod
    def build(cls, catalogue, histories, settings):
        return cls(len(catalogue))

    def index(self, catalogue):
        pass

    def prepare(self, histories):
        return BatchFeature({"items": pad([history.items for history in histories])})

    def recommend(self, inputs, k):
        hidden = self.vectors(inputs["items"])
        for layer in self.layers:
            hidden = layer(hidden).relu()
        scores = hidden.mean(1) @ self.vectors.weight.T
        return top_items(scores, k, inputs["items"])


class Other(Mine):
    pass
"""


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True, capture_output=True
    )


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A committed repository with two recommenders; tests change its working folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    (folder / "suite.toml").write_text(SUITE)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "base")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return folder


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def gate(*words, suite="suite.toml", fast=True):
    words = ["--suite", suite, "--device", "cpu", "--out", "out", *words, *(["--fail-fast"] if fast else [])]
    return CliRunner().invoke(app, ["--against", "HEAD", *words])


def found():
    return json.loads(Path("out/gate.json").read_text())


def said(result):
    return " ".join(result.output.split())


def test_a_change_of_the_docs_passes(repository):
    (repository / "README.md").write_text("Better words.\n")
    result = gate(fast=False)
    assert result.exit_code == 0, result.output
    assert "PASS" in result.output
    assert {case["verdict"] for case in found()["cases"]} == {"SAME"}
    assert found()["pairs"] >= 5
    assert "with uncommitted changes" in found()["head"]
    assert any("generated data" in note for note in found()["notes"]), "what the loader warns of is told"
    assert "### Latency gate: PASS" in Path("out/gate.md").read_text()


def test_a_deleted_case_fails_by_name(repository):
    edit(repository / "suite.toml", '[[recommenders]]\nname = "mine:Other"\n', "")
    result = gate()
    assert result.exit_code == 1
    assert "mine:Other" in said(result)
    assert "presence: missing: base has this case" in said(result)


def test_a_renamed_case_is_missing_and_new(repository):
    edit(repository / "suite.toml", "mine:Other", "mine:Another")
    edit(repository / "mine.py", "class Other(", "class Another(")
    result = gate()
    assert result.exit_code == 1
    assert "presence: missing" in said(result)
    assert "presence: new: head has this case" in said(result)


def test_a_broken_answer_fails_however_fast_it_is(repository):
    edit(repository / "mine.py", "scores = hidden", "scores = -hidden")
    result = gate()
    assert result.exit_code == 1
    assert "users get another top 5" in said(result)


def test_another_layer_fails_by_its_work(repository):
    edit(repository / "mine.py", "LAYERS = 2", "LAYERS = 3")
    result = gate("--accept", "lists")
    assert result.exit_code == 1
    for check in ("flops: FLOPs per user", "operators: dispatched operators", "parameters: parameters"):
        assert check in said(result)
    assert "lists (accepted)" in said(result)


def test_a_worker_that_is_killed_is_named_and_the_rest_is_measured(repository):
    edit(repository / "mine.py", "class Other(Mine):\n    pass", KILLED)
    result = gate()
    assert result.exit_code == 1
    assert "failed on head: a process killed by SIGKILL (out of memory, perhaps) in 'facts', 2 times" in said(result)
    mine = next(case for case in found()["cases"] if case["case"]["recommender"] == "mine:Mine")
    assert len(mine["processes"]["head"]) == 1


KILLED = """class Other(Mine):
    def recommend(self, inputs, k):
        os.kill(os.getpid(), 9)"""

HUNG = """class Other(Mine):
    def index(self, catalogue):
        time.sleep(600)"""


def test_a_worker_that_hangs_is_killed_and_named(repository):
    edit(repository / "mine.py", "class Other(Mine):\n    pass", HUNG)
    result = gate("--case-timeout", "3")
    assert result.exit_code == 1
    assert "hung for 3 s in 'open' and was killed (--case-timeout), 2 times" in said(result)


def test_interrupting_leaves_a_result_and_no_process(repository):
    """Ctrl-C during the second pair: status 130, the first pair's samples in the file, workers gone."""
    command = [sys.executable, "-m", "bench.gate", "--against", "HEAD", "--suite", "suite.toml", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--out", "out"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if line.startswith("pair 2: mine"):
                process.send_signal(signal.SIGINT)
                break
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "INCOMPLETE: it was interrupted" in output
    assert found()["interrupted"] == "it was interrupted"
    assert len(found()["cases"][0]["processes"]["head"]) >= 1
    time.sleep(0.2)
    assert not living_workers(os.environ["BENCH_HOME"])


def living_workers(home):
    """Processes that were started with this BENCH_HOME."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"BENCH_HOME={home}".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return [number for number in found if int(number) != os.getpid()]


def test_a_full_disk_costs_the_file_and_not_the_verdict(repository, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    edit(repository / "suite.toml", "mine:Other", "mine:Another")
    edit(repository / "mine.py", "class Other(", "class Another(")
    monkeypatch.setattr("bench.ground.outputs.atomic", full)
    result = gate()
    assert result.exit_code == 1
    assert "No space left on device; what was computed could not be kept anywhere" in said(result)
    assert "presence: missing" in said(result)
    assert "what is known so far cannot be kept: " in said(result)


def test_a_job_summary_is_written_where_there_is_one(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    edit(repository / "mine.py", "scores = hidden", "scores = -hidden")
    gate()
    assert "### Latency gate: FAIL" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(("words", "message"), [
    (["--against", ""], "--against: names nothing (a variable that is not set?)"),
    (["--against", ".", "--suite", "suite.toml"], "--against: base and head run the same files"),
    (["--against", "HEAD", "--suite", ""], "--suite: names nothing"),
    (["--against", "HEAD", "--out", "mine.py"], "nothing can be written into mine.py"),
    (["--against", "no-such-branch"], "--against no-such-branch: no such file, folder or git revision"),
    (["--against", "HEAD", "--suite", "nope"], "no suite 'nope'"),
    (["--against", "HEAD", "--recommender", "nope:Nope"], "recommender 'nope:Nope' cannot be imported"),
    (["--against", "HEAD", "--suite", "suite.toml", "--threads", "900"], "--threads 900"),
    (["--against", "HEAD", "--recommender", "sasrec", "--suite", "smoke"], "holds no code that is measured"),
])  # fmt: skip
def test_wrong_use_is_one_line(repository, words, message):
    result = CliRunner().invoke(app, [*words, "--device", "cpu", "--fail-fast"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert message in str(result.exception)
    else:
        assert message in said(result)
        assert result.exit_code == 1


def test_a_second_checkout_is_a_base(repository, tmp_path):
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "second"))
    edit(repository / "mine.py", "scores = hidden", "scores = -hidden")
    result = CliRunner().invoke(
        app, ["--against", str(tmp_path / "second"), "--suite", "suite.toml", "--device", "cpu", "--fail-fast"]
    )
    assert result.exit_code == 1
    assert "users get another top 5" in said(result)
