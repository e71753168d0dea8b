"""One case served by a process of its own, so that what it holds is what serving it takes."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path

from bench.records.cost import Memory
from bench.records.model import Unavailable
from bench.suites.planning import Job

WAIT_S = 600.0
"""How long a process may take where nothing else is said."""

FROM_ENVIRONMENT = ("BENCH_HOME", "BENCH_DATA")


def own_memory(job: Job, case: str, *, timeout_s: float | None = None) -> Memory | Unavailable:
    """Measure the memory of one case in a process that serves it alone.

    Processes are forked from one that has imported the libraries and computed nothing, so each begins
    clean and in no time (multiprocessing's fork server).

    Args:
        job: What this session measures.
        case: Name of one of its cases, whose weights are trained if they are to be.
        timeout_s: When to give up.

    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return Unavailable(unavailable="this system cannot fork a process to measure a case alone")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.running.worker"])
    ours, theirs = context.Pipe(duplex=False)
    surroundings = {name: os.environ[name] for name in FROM_ENVIRONMENT if name in os.environ}
    process = context.Process(
        target=_measure, args=(theirs, job.model_dump_json(), case, os.getcwd(), surroundings), daemon=True
    )
    try:
        process.start()
        theirs.close()
        if not ours.poll(timeout_s or WAIT_S):
            return Unavailable(
                unavailable=f"the process that serves the case alone took over {timeout_s or WAIT_S:g} s"
            )
        memory: Memory | Unavailable = ours.recv()
    except OSError as error:
        return Unavailable(unavailable=f"no process could be started to serve the case alone: {error}")
    except EOFError:
        process.join()
        said = f"the process that serves the case alone ended with status {process.exitcode}"
        return Unavailable(unavailable=said)
    else:
        return memory
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        ours.close()


def _measure(answer: Connection, job: str, case: str, folder: str, surroundings: dict[str, str]) -> None:
    """Serve the case in this process and send what it takes."""
    os.chdir(folder)
    os.environ.update(surroundings)
    from bench.running.worker import Worker

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            worker = Worker()
            worker.plan(Job.model_validate_json(job).model_dump())
            worker.open(case)
            memory: Memory | Unavailable = worker.memory()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told
            memory = Unavailable(unavailable=f"the process that serves the case alone failed: {error}")
    answer.send(memory)
