"""``python -m bench.worker --queue DIR``: do tickets of a queue that machines share, until none is left.

``python -m bench.reproduce SUITE --queue DIR`` fills it. Start a worker on each machine, by Slurm, by ssh or in
containers, whenever it is to be had; each machine measures one thing at a time, and its results are its own.

Without options it is the process in which `bench.gate` measures one checkout. It then reads JSON lines on standard
input and answers each with one on standard output; whatever else writes to standard output goes to standard error. It
waits in a read, so it takes no time from what another process measures meanwhile, and ends when its input does::

    gate                              worker
      {"do": "plan", "job": ...}   ─▶   loads data, lists cases
      {"do": "open", "case": name} ─▶   builds, indexes
      {"do": "warm"}               ─▶   warms up
      {"do": "turn", "rounds": 20} ─▶   times
      {"do": "facts"}              ─▶   counts, ranks
      {"do": "close"}              ─▶   lets go of the case
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from bench.cli import ending
from bench.cli.options import CpuThreads
from bench.running.opening import command_of

app = typer.Typer(add_completion=False, help=__doc__)

TRAINING, TIMING = "training", "timing"


@app.command()
def queue(
    *,
    folder: Annotated[Path, typer.Option("--queue", help="Folder of the queue, which all machines see.")],
    machine: Annotated[
        str | None, typer.Option(help="What results call this machine; default: the computer's name.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar=f"{TRAINING}|{TIMING}", help="Do only tickets that train, or that time.")
    ] = None,
    threads: CpuThreads = None,
    leave: Annotated[
        bool, typer.Option("--leave", help="End when no ticket is to be had; default: wait for those of others.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry-failed", help="First put tickets back that failed, or hold a case that did.")
    ] = False,
    name: Annotated[str, typer.Option(hidden=True, help="Of this worker in the queue; no other one may have it.")] = "",
    leash: Annotated[
        bool, typer.Option("--leash", help="End when standard input does: whoever started this is then gone.")
    ] = False,
) -> None:
    """Do tickets of a queue until none is left. Threads are those of training; how many time it, the queue says."""
    from bench.fleet.folder import QueueFolder
    from bench.fleet.sweep import Sweep
    from bench.fleet.worker import QueueWorker, WorkerOptions, check_name, kinds_of, retry_failed

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's end of time: others take the ticket
    if leash:
        threading.Thread(target=_end_with_input, daemon=True).start()
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    options = WorkerOptions(
        machine=check_name(platform.node() if machine is None else machine),
        threads=threads or os.cpu_count() or 1,
        command=command_of("bench.worker"),
        kinds=kinds_of(only),
        stay=not leave,
        name=name,
    )
    there = QueueFolder(folder)
    worker = QueueWorker(there, options, say)
    if retry:
        say(f"{retry_failed(there, Sweep.read(there))} tickets are tried again")
    say(f"{worker.run()} tickets done here")


def _end_with_input() -> None:
    while os.read(0, 1024):  # not through sys.stdin, whose lock must be free when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def answer_lines() -> None:
    """Answer lines until there are no more."""
    from bench.running.worker import Worker

    answers: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between answers
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    if sys.argv[1:]:
        ending.run(app)
    else:
        answer_lines()
