"""Ray as the launcher of a queue's workers: one that times on each node, those that train wherever there is room.

Ray starts processes and tells when a node is gone, no more: the queue says what is done, so nothing hangs on Ray's own
retries, which are off. A worker is a process of its own, without Ray in it; it ends when the task that started it does.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bench.fleet.folder import QueueFolder
from bench.fleet.sweep import Sweep, TicketKind
from models.errors import UserError

MEASURING = "measuring"
"""The resource of which each node has one that may time."""

KNOCK_S = 10.0
"""How long an address may take to answer."""

LOCAL = "local"
"""The address that starts Ray on this machine alone."""

OURS = ("BENCH_DATA", "HF_HUB_OFFLINE", "PYTHONPATH", "OMP_NUM_THREADS", "TMPDIR")
"""What workers find in their environment as it is here; of threads, what Ray would set is taken away."""


def run_worker(words: list[str], surroundings: Mapping[str, str]) -> tuple[int, str]:
    """Run a worker on the node that this comes to; return its status and the last line that it said. Ray calls this."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    last = ""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "bench.worker", *words],
        env=environment | dict(surroundings),
        stdin=subprocess.PIPE,  # its leash: it closes when this process ends, however it does
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            last = line.strip() or last
        return process.wait(), last


def _knock(address: str) -> None:
    """See that somebody listens at HOST:PORT; Ray would try for many minutes.

    Raises:
        OSError: Nobody does.

    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


@dataclass(frozen=True)
class Task:
    """A worker that Ray runs.

    Attributes:
        name: Name of the worker in the queue.
        kind: What it takes.
        reference: Ray's.

    """

    name: str
    kind: str
    reference: Any


class RayCrew:
    """The workers of a queue on a Ray cluster, as long as the context is.

    Args:
        address: Address of the cluster, as ``ray.init`` takes it; ``local`` starts one here.
        threads: CPU threads, and CPUs of Ray, of each worker that trains.
        say: Shows a line.

    Raises:
        UserError: Ray is not installed, there is no cluster, or none of its nodes may time.

    """

    def __init__(self, address: str, *, threads: int, say: Callable[[str], None]) -> None:
        self._threads = threads
        self._say = say
        self._tasks: list[Task] = []
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError as error:
            raise UserError("--ray: Ray is not installed; pip install 'lite-llm4rec-bench[ray]'") from error
        self._ray: Any = ray
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address == LOCAL:
            quiet |= {"include_dashboard": False, "resources": {MEASURING: 1}}
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"--ray {address}: there is no cluster ({reason}); ray start --head begins one") from error
        if not self._room():
            ray.shutdown()
            raise UserError(
                f"--ray {address}: no node may time; start those that may with ray start --resources "
                f"'{{\"{MEASURING}\": 1}}'"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def look(self, folder: QueueFolder, sweep: Sweep) -> None:
        """See to the workers: what dead ones held is free again, and there are as many as have something to do."""
        self._see_who_ended(folder)
        done = {attempt.number for attempt in folder.done()}
        ready = [sweep.ticket(attempt.number) for attempt in folder.waiting()]
        ready = [ticket for ticket in ready if done.issuperset(ticket.after)]
        timing = sum(ticket.kind is TicketKind.CASES for ticket in ready)
        self._start(folder, "training", len(ready) - timing)
        self._start(folder, "timing", min(timing, self._room()))

    def _see_who_ended(self, folder: QueueFolder) -> None:
        references = [task.reference for task in self._tasks]
        ended, _ = self._ray.wait(references, num_returns=len(references), timeout=0) if references else ([], [])
        for task in [running for running in self._tasks if running.reference in ended]:
            self._tasks.remove(task)
            try:
                status, said = self._ray.get(task.reference)
            except self._ray.exceptions.RayError as error:  # its node is gone
                status, said = None, " ".join(str(error).split())[:120]
            held = [claim for claim in folder.claimed() if claim.worker == task.name]
            if status and not held:
                raise UserError(f"a worker could not begin on a node: {said}; the same command goes on")
            if status != 0:
                self._say(f"worker {task.name} is gone: {said}")
            for attempt in held:
                if folder.bury(attempt):
                    self._say(f"{attempt.number}: tried again")

    def _start(self, folder: QueueFolder, kind: str, wanted: int) -> None:
        running = sum(task.kind == kind for task in self._tasks)
        for _ in range(wanted - running):
            name = f"ray-{secrets.token_hex(4)}"
            words = ["--queue", str(folder.root.resolve()), "--only", kind, "--name", name, "--leave", "--leash"]
            needs: dict[str, Any] = {"num_cpus": 0, "resources": {MEASURING: 1}}
            if kind == "training":
                words += ["--threads", str(self._threads)]
                needs = {"num_cpus": self._threads}
            surroundings = {variable: os.environ[variable] for variable in OURS if variable in os.environ}
            work = self._ray.remote(run_worker).options(max_retries=0, scheduling_strategy="SPREAD", **needs)
            self._tasks.append(Task(name, kind, work.remote(words, surroundings)))

    def _room(self) -> int:
        """Return how many nodes may time."""
        return int(self._ray.cluster_resources().get(MEASURING, 0))
