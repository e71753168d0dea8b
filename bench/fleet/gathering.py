"""From a queue that is done to results files, studies and pages, one of each a machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.fleet.folder import QueueFolder, fit_name
from bench.fleet.results import HandedIn, by_machine
from bench.fleet.sweep import Sweep, home_in
from bench.ground.outputs import write_file
from bench.records.studies import Studies
from bench.reproducing.kept import RUN, STUDIES
from bench.reproducing.run import signed_studies
from models.errors import UserError

POLL_S = 1.0


def wait(folder: QueueFolder, sweep: Sweep, say: Callable[[str], None], look: Callable[[], None]) -> None:
    """Wait until all tickets of a queue are done, and tell how it goes on.

    Args:
        folder: The queue.
        sweep: What stands in it.
        say: Shows a line.
        look: Called at each turn, such as to see to workers.

    """
    shown = ""
    while True:
        for lost in folder.put_back_dead(sweep.dead_after_s):
            say(f"{lost.number}: {lost.worker} was not heard of for {sweep.dead_after_s:g} s: others may have it")
        done, total = len(folder.done()), len(sweep.tickets)
        holders = ", ".join(f"{attempt.number} by {attempt.worker}" for attempt in folder.claimed())
        if (line := f"{done} of {total} tickets done" + (f"; {holders}" if holders else "")) != shown:
            say(line)
            shown = line
        if done >= total:
            return
        look()
        time.sleep(POLL_S)


def gather(folder: QueueFolder, sweep: Sweep, out: Path, command: str, *, render: bool) -> list[str]:
    """Write what workers handed in, and a page of it.

    Args:
        folder: The queue.
        sweep: What stands in it.
        out: Folder to write to; where several machines measured, each has one of its own in it.
        command: As it was typed, for the studies.
        render: Whether to make pages.

    Returns:
        What failed, a line each.

    Raises:
        UserError: What was handed in is damaged, or nothing was.

    """
    handed_in = [(attempt, HandedIn.read(folder, attempt)) for attempt in folder.done()]
    runs = by_machine(part for _, part in handed_in)
    studies = _studies(folder, sweep, command)
    if not runs and studies is None:
        raise UserError(f"{folder.root}: nothing is done yet; start python -m bench.worker --queue {folder.root}")
    places: dict[Path, dict[str, Any] | None] = {}
    for machine, run in runs.items():
        places[out if len(runs) == 1 else out / fit_name(machine)] = run
    for place, content in (places or {out: None}).items():
        _write(place, content, studies, render=render)
    failed = [f"{sweep.ticket(attempt.number).what}: {part.failure}" for attempt, part in handed_in if part.failure]
    cases = [record for _, part in handed_in for record in part.records if part.failed]
    return failed + [
        f"{record.case.name}: {record.outcome}: {record.detail}" for record in cases if record.latency is None
    ]


def _studies(folder: QueueFolder, sweep: Sweep, command: str) -> Studies | None:
    plan = sweep.plan(folder.root)
    if plan is None:
        return None
    with home_in(folder.root):
        return signed_studies(plan.gathered(), command)


def _write(place: Path, run: dict[str, Any] | None, studies: Studies | None, *, render: bool) -> None:
    files = []
    if run is not None:
        files.append(place / RUN)
        write_file(place / RUN, json.dumps(run, indent=1) + "\n")
    if studies is not None:
        files.append(place / STUDIES)
        write_file(place / STUDIES, studies.model_dump_json(indent=1) + "\n")
    if render:
        page = [sys.executable, "-m", "bench.report", *map(str, files), "--out", str(place)]
        if subprocess.run(page, check=False).returncode:  # noqa: S603 - our own command
            raise UserError(f"the results in {place} could not be rendered: see above")
