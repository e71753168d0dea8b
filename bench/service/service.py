"""The service under test: a queue, a batcher and workers, with a client before it.

::

    client ──requests──▶ queue ──batches──▶ worker 1: prepare, recommend ──▶ answers ──▶ client
    (its own process)      └──────────────▶ worker 2: ...

On a CPU each worker is a process with one thread, forked from the warm one, so that weights are there once and no
interpreter waits for another. Workers and client have cores of their own where there are more cores than workers. On
a GPU one worker serves, in threads of this process: the host takes and prepares the next batch while the device
answers this one. No web server stands before it: what it would add is the same for all recommenders.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench.measure.outcome import CaseTimeoutError, WorkerDiedError
from bench.measure.subject import Subject
from bench.records.load import Slo
from bench.service.arrivals import Seconds
from bench.service.asked import Ask, Heard
from bench.service.batcher import Batcher, Rules
from bench.service.wire import HELLO, REQUEST, answer_type, queue_pipe
from bench.service.worker import Worker, alone
from models.catalogue import History
from models.contract import check_lists
from models.serving import Recommendations

START_S = 120.0
"""What starting the client may take."""

WARM_S = 600.0
"""What warming the workers may take, programs of all sizes included."""

DRAIN_S = 2.0
"""How long answers are waited for after the last arrival, beyond some times the limit."""

DRAIN_LIMITS = 10

HANG_S = 30.0
"""After so long without an answer a service hangs."""


class Service:
    """A running service; leaving its context ends it.

    Args:
        subject: What answers; it is indexed and warm, and lies on the CPU or on one GPU.
        workers: Processes on a CPU; on a GPU there is one, a thread.
        hang_s: After how long without an answer it counts as hanging.
        largest: Most users of any batch that it will be asked for.

    """

    def __init__(self, subject: Subject, *, workers: int, hang_s: float = HANG_S, largest: int = 1) -> None:
        self.subject = subject
        self.users: list[History] = [history for batch in subject.batches for history in batch]
        self.pipelined = subject.device.type == "cuda"
        self.workers = 1 if self.pipelined else workers
        self._hang_s = hang_s
        self._largest = largest
        self._asked = 0
        shared = np.frombuffer(mmap.mmap(-1, 16), np.float64)
        self.rules = Rules(shared)
        self._cores = [] if self.pipelined or sys.platform != "linux" else sorted(os.sched_getaffinity(0))
        self._open: list[int] = []
        self._processes: list[BaseProcess] = []
        self._client: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.queue, self._requests = self._pipe(queue_pipe())
        self._said, self._errors = self._pipe(os.pipe())
        os.set_blocking(self._said, False)
        try:
            self.answers = self._start_threads() if self.pipelined else self._start_processes()
            self._wait_for_hello()
            self._talk, self._client = self.start_client("bench.service.client", len(self.users))
            self._received(START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.wait()
            self._talk.close()
        for process in self._processes:
            process.kill()
            process.join()
        if self._thread is not None:
            os.close(self._requests)  # nobody can ask any more, which ends it
            self._open.remove(self._requests)
            self._thread.join(self._hang_s)
            if self._thread.is_alive():  # what it reads and writes must not become somebody else's
                return
        for place in self._open:
            with suppress(OSError):
                os.close(place)
        self._open.clear()

    def ask(self, arrivals: Seconds, slo: Slo, *, window_s: float, largest: int, early: bool = False) -> Heard:
        """Send requests when they are due, and return what became of them.

        Args:
            arrivals: Seconds from the start.
            slo: What a trial may end by.
            window_s: How long a batch may wait to be filled.
            largest: Most users of a batch.
            early: Whether to end when the objective is missed.

        Raises:
            WorkerDiedError: A worker or the client ended.
            CaseTimeoutError: No answer comes any more.
            BrokenListError: An answer is no list.

        """
        self.rules.set(window_s, largest)
        drain_s = DRAIN_S + DRAIN_LIMITS * slo.limit_s
        self._talk.send(Ask(arrivals, self._asked, slo, early, drain_s, self._hang_s))
        self._asked += len(arrivals)
        heard = self._received(float(arrivals[-1]) + drain_s + self._hang_s + START_S)
        assert isinstance(heard, Heard)
        if heard.lost:
            raise self._over(f"{heard.lost}, at {self._rate(arrivals)}")
        self._settle()
        self._check(heard)
        return heard

    @property
    def client_pid(self) -> int:
        """Number of the client's process."""
        assert self._client is not None, "the service runs"
        return self._client.pid

    @property
    def said(self) -> str:
        """The last that a worker said went wrong; empty where nothing did."""
        with suppress(BlockingIOError):
            lines = os.read(self._said, 1 << 16).decode(errors="replace").splitlines()
            return lines[-1] if lines else ""
        return ""

    def start_client(self, module: str, *words: int) -> tuple[Connection, subprocess.Popen[bytes]]:
        """Start a process that asks this service, which says ``ready`` first.

        Args:
            module: What it runs; it is given where to talk, where to write requests, the length of lists, `words`,
                and where to read answers.
            words: Numbers of its own.

        """
        ours, theirs = multiprocessing.Pipe()
        places = [theirs.fileno(), self._requests, *self.answers]
        given = [theirs.fileno(), self._requests, self.subject.k, *words, *self.answers]
        search = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module, *map(str, given)],
            pass_fds=places,
            env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for whoever measures
        )
        theirs.close()
        if rest := self._cores[self.workers :]:
            os.sched_setaffinity(process.pid, rest)
        return ours, process

    def number(self, count: int) -> int:
        """Return the first of so many numbers that no request had."""
        self._asked += count
        return self._asked - count

    def _pipe(self, ends: tuple[int, int]) -> tuple[int, int]:
        self._open += ends
        return ends

    def _worker(self, answers: int, turn: Any) -> Worker:
        batcher = Batcher(self.queue, turn, self.rules)
        return Worker(self.subject, self.users, batcher, answers, self._errors, self._largest)

    def _start_processes(self) -> list[int]:
        context = multiprocessing.get_context("fork")  # the weights are there, warm, and shared
        turn, places = context.Lock(), []
        for _ in range(self.workers):
            reads, writes = os.pipe()
            self._open.append(reads)
            closed = [self._requests, self._said, reads]
            work = self._worker(writes, turn)
            process = context.Process(
                target=alone, args=(work, closed), kwargs={"threads": 1, "cores": self._cores[: self.workers]}
            )
            process.start()
            os.close(writes)
            self._processes.append(process)
            places.append(reads)
        return places

    def _start_threads(self) -> list[int]:
        reads, writes = os.pipe()
        self._open.append(reads)

        def serve() -> None:
            try:
                self._worker(writes, nullcontext()).serve(pipelined=True)
            finally:
                os.close(writes)

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        return [reads]

    def _wait_for_hello(self) -> None:
        kind, end = answer_type(self.subject.k), time.monotonic() + WARM_S
        for place in self.answers:
            said = b""
            while len(said) < kind.itemsize:
                ready, _, _ = select.select([place], [], [], max(0.0, end - time.monotonic()))
                read = os.read(place, kind.itemsize - len(said)) if ready else b""
                if not read:
                    raise self._over(f"a worker was not ready after {WARM_S:g} s")
                said += read
            assert np.frombuffer(said, kind)["number"][0] == HELLO

    def _received(self, most_s: float) -> Any:
        try:
            if not self._talk.poll(most_s):
                raise CaseTimeoutError("the client that sends requests hung")
            return self._talk.recv()
        except (EOFError, ConnectionError) as error:
            raise WorkerDiedError("the client that sends requests ended") from error

    def _settle(self) -> None:
        """Take what is left out of the queue, and wait for what workers have at hand."""
        drained = 0
        while select.select([self.queue], [], [], 0)[0]:
            with suppress(BlockingIOError):  # a worker was quicker
                drained += len(os.read(self.queue, 1 << 16)) // REQUEST.itemsize
        self._talk.send((drained, self._hang_s))
        if not self._received(self._hang_s + START_S):
            raise self._over(f"what was begun was not answered within {self._hang_s:g} s")

    def _check(self, heard: Heard) -> None:
        """See that the lists that came back are lists."""
        if not heard.lists:
            return
        import torch

        items, scores = (np.stack(rows) for rows in zip(*heard.lists.values(), strict=True))
        users = [self.users[place] for place in heard.lists]
        recommended = Recommendations(torch.from_numpy(items), torch.from_numpy(scores))
        check_lists(self.subject.recommender, recommended, users, k=self.subject.k, items=self.subject.items)

    def _over(self, why: str) -> Exception:
        """Return the error that says which worker ended, and how, or else that none answers."""
        for number, process in enumerate(self._processes, 1):
            process.join(timeout=0.1)
            status = process.exitcode
            if status is not None:
                how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
                return WorkerDiedError(f"worker {number} of {self.workers} {how}{self._last_words()}: {why}")
        return CaseTimeoutError(f"{why}{self._last_words()}")

    def _last_words(self) -> str:
        said = self.said
        return f" ({said})" if said else ""

    @staticmethod
    def _rate(arrivals: Seconds) -> str:
        last = float(arrivals[-1])
        return f"{len(arrivals) / last:.3g} requests a second" if last else f"{len(arrivals):,} requests at once"
