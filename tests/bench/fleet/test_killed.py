"""Workers that are killed: their cases return, all rows are there, none twice, and nothing of them stays running."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench.fleet.gathering import gather
from bench.records import store
from bench.records.case import Outcome
from tests.bench.fleet.small import CASES, filled

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.minutes,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for as Linux lists them"),
]


def start(queue, machine, home):
    """Start a plain worker, in a home of its own."""
    words = [sys.executable, "-m", "bench.worker", "--queue", str(queue.root), "--machine", machine]
    surroundings = os.environ | {"BENCH_HOME": str(home), "TMPDIR": str(queue.root.parent), "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(words, cwd=ROOT, env=surroundings, start_new_session=True, **quiet)


def processes_of(home):
    """Return the processes that were started with this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"BENCH_HOME={home}".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
    return found


def until(holds, seconds=120):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def test_of_two_workers_one_is_killed_and_all_rows_are_there_none_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    queue, sweep = filled(tmp_path, dead_after_s=6.0)
    homes = {name: tmp_path / name for name in ("killed", "stays")}
    workers = {"killed": start(queue, "killed", homes["killed"])}
    try:
        until(lambda: len(queue.done()) == 1 and queue.claimed())  # one ticket is its own for good
        workers["stays"] = start(queue, "stays", homes["stays"])
        time.sleep(0.5)  # into the measuring
        workers["killed"].send_signal(signal.SIGKILL)
        workers["killed"].wait()
        until(lambda: not processes_of(homes["killed"]), 30)  # its measuring process, too
        assert workers["stays"].wait(timeout=400) == 0
    finally:
        for one in workers.values():
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
    assert gather(queue, sweep, tmp_path / "out", "python -m bench.reproduce", render=False) == []
    records = [record for path in (tmp_path / "out").rglob("run.json.gz") for record in store.read(path).records]
    assert len(records) == CASES
    assert len({record.case.name for record in records}) == CASES
    assert {record.outcome for record in records} == {Outcome.OK}
    assert sum(queue.losses(number) for number in range(1, 7)) == 1
    assert {record.provenance.attempt for record in records} == {1, 2}
    assert {path.parent.name for path in (tmp_path / "out").rglob("run.json.gz")} == {"killed", "stays"}
