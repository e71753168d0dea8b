"""`python -m bench.load`: one command from names to the table, and one line for whatever is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import load
from bench.records.store import read
from models.errors import UserError

SMALL = [
    "--search-seconds",
    "4",
    "--load-seconds",
    "0.5",
    "--arrival-seeds",
    "1",
    "--slo",
    "300ms@p90",
    "--workers",
    "1",
]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--find-peak", "--rate", "3"], "--find-peak"), (["--slo", "80"], "--slo 80: write a limit"),
        (["nosuch"], "unknown recommender 'nosuch'"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(words, said):
    found = CliRunner().invoke(load.app, words)
    assert isinstance(found.exception, UserError)
    assert said in str(found.exception)


def test_it_runs_pytest_with_what_it_was_told_and_the_decoders_of_the_suite(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["load"])
    given = []
    monkeypatch.setattr(load.pytest, "main", lambda words: given.extend(words) or 0)
    words = ["p5", "sasrec", "--dataset", "ml-1m", "--min-count", "5", "--slo", "50ms", "--refresh", "--untrained"]
    assert CliRunner().invoke(load.app, words).exit_code == 0
    text = " ".join(given)
    for part in (
        "--suite load --scenario open --slo 50ms@p99 --refresh --min-count 5 --recommender p5 --recommender sasrec",
        "--dataset ml-1m", "--decoder reference --decoder exact", "--untrained",
    ):  # fmt: skip
        assert part in text
    assert not Path(given[0]).is_absolute()


def started(home, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "bench.load", "popularity", *SMALL, *words],
        env=os.environ | {"BENCH_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.minutes
def test_an_interrupted_search_keeps_its_trials_and_the_same_command_ends_it(tmp_path):
    first = started(tmp_path)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("results/unfinished/*/value-*.json")) and time.monotonic() < end:
        time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 130, said
    assert "Traceback" not in said
    kept = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("results/unfinished/*/value-*.json")}
    assert kept
    again = started(tmp_path)
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    (record,) = read(next(tmp_path.glob("results/*/*.json"))).records
    assert record.load.peak is not None
    tried = [trial.model_dump(mode="json") for trial in record.load.searched]
    assert all(value in tried for value in kept.values() if isinstance(value, dict))
    assert record.load.cold.seconds > 0
    assert not list(tmp_path.glob("results/unfinished/*/*"))
