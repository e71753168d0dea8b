"""Commands that are killed at any moment lose nothing that was finished, and leave no file torn.

`BENCH_KILLS` says how often each command is killed; a release is tried with 15.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from bench.records import store
from bench.records.case import Outcome
from bench.records.gate import GateResult
from bench.records.record import Record

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("BENCH_KILLS", "2"))

pytestmark = [
    pytest.mark.minutes,
    pytest.mark.skipif(sys.platform != "linux", reason="process groups are killed as Linux does it"),
]

SUITE = """
description = "tiny"
datasets = ["synthetic"]
synthetic = { users = 40, items = 30, length = 8 }
batch_sizes = [1, 4]
k = 5
case_seconds = 0.2
min_rounds = 3
recommenders = [
    { name = "popularity" }, { name = "tests.breaking:ByNumber" }, { name = "tests.breaking:ByNumberBackwards" },
]
"""


class Killed:
    """A command that is killed again and again, in a home of its own."""

    def __init__(self, folder, *words):
        self.home = folder / "home"
        self.command = [sys.executable, "-m", *words]
        self.environment = os.environ | {"BENCH_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        self._draw = random.Random(" ".join(words[:1]))
        self.took_s = None

    def start(self):
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(self.command, cwd=ROOT, env=self.environment, start_new_session=True, **quiet)

    def run(self):
        """Let it run to its end, and return what it printed."""
        started = time.monotonic()
        with self.start() as process:
            said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        self.took_s = time.monotonic() - started
        return said

    def kill(self):
        """Kill it and all that it started at a random moment; tell whether it was still running."""
        with self.start() as process:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=self._draw.uniform(0.3, 1.1) * self.took_s)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        return process.returncode == -signal.SIGKILL


def whole_json(folder):
    """Read every JSON file of ours; a torn one would not be read."""
    return {path: json.loads(path.read_text()) for path in folder.rglob("*.json") if not path.name.startswith(".")}


def finished_cases(home):
    """Return the samples of each finished case of an unfinished run."""
    paths = home.glob("results/unfinished/*/case-*.json")
    records = [Record.model_validate_json(path.read_text()) for path in paths]
    assert all(record.outcome is Outcome.OK for record in records)
    return {record.case.name: record.latency.samples_s for record in records}


def saved_runs(home):
    return [
        store.read(path) for path in home.glob("results/*/*.json") if path.parent.name not in ("unfinished", "failed")
    ]


def test_measuring_goes_on_where_it_was_killed_case_by_case(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    suite = ["--benchmark-only", "-p", "no:cacheprovider", "--threads=1", f"--suite={tmp_path / 'suite.toml'}"]
    killed = Killed(tmp_path, "pytest", "bench/", *suite)
    killed.run()
    kept, seen = {}, 0
    for _ in range(KILLS):
        before = len(saved_runs(killed.home))
        killed.kill()
        whole_json(killed.home)
        for path in killed.home.rglob("*.npz"):
            np.load(path).close()
        if len(saved_runs(killed.home)) > before:  # it had ended before it was killed
            kept = {}
            continue
        now = finished_cases(killed.home)
        assert kept.items() <= now.items(), "a finished case was lost or measured again"
        seen, kept = max(seen, len(now)), now
    before = {run.path for run in saved_runs(killed.home)}
    killed.run()
    (last,) = [run for run in saved_runs(killed.home) if run.path not in before]
    samples = {record.case.name: record.latency.samples_s for record in last.records}
    assert len(samples) == 6
    assert kept.items() <= samples.items()
    assert not list(killed.home.glob("results/unfinished/*/*"))


def test_training_goes_on_where_it_was_killed(tmp_path):
    sizes = ["--max-minutes", "0.1", "--seed", "3"]
    killed = Killed(tmp_path, "bench.train", "sasrec", *sizes, "--out", str(tmp_path / "weights"))
    killed.run()
    shutil.rmtree(tmp_path / "weights")
    spent = 0
    for _ in range(KILLS):
        killed.kill()
        if (tmp_path / "weights" / "card.json").exists():
            with safe_open(tmp_path / "weights" / "model.safetensors", "pt") as weights:
                assert list(weights.keys())
            shutil.rmtree(tmp_path / "weights")
            spent = 0
            continue
        states = [json.loads(path.read_text()) for path in tmp_path.glob("weights/run/checkpoint-*/trainer_state.json")]
        steps = max((state["global_step"] for state in states), default=0)
        assert steps >= spent, "finished steps were lost"
        spent = steps
    killed.run()
    card = json.loads((tmp_path / "weights" / "card.json").read_text())
    assert card["training"]["steps"] >= spent
    assert not (tmp_path / "weights" / "run").exists()


def test_a_report_is_written_file_by_file_and_none_is_torn(tmp_path):
    source = next(iter(sorted(ROOT.glob("reports/cpu-2-cores/quick/run.json*"))))
    killed = Killed(tmp_path, "bench.report", str(source), "--out", str(tmp_path / "page"))
    killed.run()
    whole = {path.relative_to(tmp_path / "page"): path.stat().st_size for path in (tmp_path / "page").rglob("*.*")}
    for number in range(KILLS):
        out = tmp_path / f"page-{number}"
        killed.command[-1] = str(out)
        killed.kill()
        for path in out.rglob("*.*"):
            if path.name.startswith(".") and path.name not in {str(name) for name in whole}:
                continue  # a temporary file, which no reader looks at
            assert path.relative_to(out) in whole
            assert abs(path.stat().st_size - whole[path.relative_to(out)]) <= 0.02 * whole[path.relative_to(out)] + 64
        killed.run()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the gate compares with a revision of this repository")
def test_a_gate_that_is_killed_keeps_the_pairs_that_it_had(tmp_path):
    options = ["--against", "HEAD", "--untrained", "--recommender", "popularity", "--batch-size", "1"]
    out = tmp_path / "gate"
    killed = Killed(tmp_path, "bench.gate", *options, "--budget-minutes", "0.2", "--case-seconds", "0.2")
    killed.command += ["--out", str(out)]
    with killed.start() as process:
        started = time.monotonic()
        process.communicate(timeout=600)
        killed.took_s = time.monotonic() - started
    assert process.returncode in (0, 1, 3)
    for _ in range(KILLS):
        (out / "gate.json").unlink(missing_ok=True)
        killed.kill()
        if (out / "gate.json").exists():
            assert GateResult.model_validate_json((out / "gate.json").read_text()).pairs >= 1
        deadline = time.monotonic() + 30
        while workers := _workers_of(killed.home):
            assert time.monotonic() < deadline, f"workers outlived the gate: {workers}"
            time.sleep(0.2)


def _workers_of(home):
    """Return the processes of workers that were started with this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words, surroundings = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            if b"bench.worker" in words and f"BENCH_HOME={home}".encode() in surroundings:
                found.append(folder.name)
    return found
