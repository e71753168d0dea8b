"""A cold start: a fresh process that serves one case, from its start to the first answer, part by part."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from bench.records.load import ColdStart
from bench.suites.planning import Job
from models.errors import UserError

WAIT_S = 600.0
"""How long it may take where nothing else is said."""

LAST_LETTERS = 200


def cold_start(job: Job, case: str, *, timeout_s: float | None = None) -> ColdStart | str:
    """Start a process that serves a case, and time it; a line where that fails.

    The machine's file cache is warm, so weights are read from memory, as where a server is started anew.

    Args:
        job: What this session measures.
        case: Name of one of its cases, whose weights are trained if they are to be.
        timeout_s: When to give up.

    """
    began = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "bench.running.cold", repr(began), case],
            input=job.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=timeout_s or WAIT_S,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took over {timeout_s or WAIT_S:g} s"
    except OSError as error:
        return f"no process could be started: {error}"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        return f"its process ended with status {done.returncode}: {said[-1][:LAST_LETTERS]}"
    return ColdStart.model_validate_json(done.stdout.splitlines()[-1])


def main() -> None:
    """Serve the case that the command line names, of the job on standard input, once and once more."""
    began, case = float(sys.argv[1]), sys.argv[2]
    import torch

    from bench.cli.options import serving_of
    from bench.measure.clock import Clock
    from bench.running.building import Builder
    from bench.running.ranking import subject_of
    from bench.suites.planning import lay_out

    marks = [began, time.monotonic()]
    layout = lay_out(Job.model_validate_json(sys.stdin.read()))
    marks.append(time.monotonic())
    clock = Clock(layout.device)
    planned, dataset = next(
        (planned_case, piece.dataset)
        for piece in layout.pieces
        for group in piece.groups
        for planned_case in group
        if planned_case.case.name == case
    )
    builder = Builder(dataset, device=layout.device, train_minutes=None, progress=lambda _: None)
    recommender, _ = builder.get(planned)
    recommender.serving = serving_of(planned.case)
    clock.synchronise()
    marks.append(time.monotonic())
    with torch.inference_mode():
        recommender.index(dataset.catalogue)
    clock.synchronise()
    marks.append(time.monotonic())
    subject = subject_of(recommender, planned.case, dataset, layout.device)
    for _ in range(2):
        subject.request(0)
        clock.synchronise()
        marks.append(time.monotonic())
    names = ("imports_s", "data_s", "weights_s", "index_s", "first_answer_s", "next_answer_s")
    spans = [after - before for before, after in pairwise(marks)]
    measured = ColdStart.model_validate(dict(zip(names, spans, strict=True)))
    sys.stdout.write(f"{measured.model_dump_json()}\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
