"""Answers batches: on the CPU one after the other in a process of its own, on a GPU with the next one prepared."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import BatchFeature

from bench.measure.subject import Subject
from bench.service.batcher import Batcher
from bench.service.wire import HELLO, answer_type, write_all
from models.catalogue import History
from models.serving import Recommendations

WARM_S, WARM_MOST = 0.3, 20
"""How long, and with how many requests at most, a worker warms up before it says that it is ready."""

PROGRAM_BATCHES = 64
"""Batches of each size that are answered where programs are made, so that all lengths of histories are met."""

LAST_LETTERS = 400

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Batch:
    """Requests that are answered together, with the lists that they get; no lists where preparing them failed."""

    numbers: np.ndarray
    taken: float
    inputs: BatchFeature | None


@dataclass(frozen=True)
class Worker:
    """One of those that answer.

    Attributes:
        subject: What answers; it is warm.
        users: Request i is made by user ``i % len(users)``.
        batcher: Gives it batches.
        answers: Where its answers are written to.
        errors: Where it says what went wrong.
        largest: Most users of any batch to come: programs for batches up to there are made before it is ready.

    """

    subject: Subject
    users: list[History]
    batcher: Batcher
    answers: int
    errors: int
    largest: int = 1

    def serve(self, *, pipelined: bool) -> None:
        """Answer until nobody can ask any more.

        Args:
            pipelined: Whether the host prepares the next batch while the device answers this one. Where both are
                one core, that would only take batches earlier than they can be answered.

        """
        with torch.inference_mode():
            self._warm_up()
            self._tell(Batch(np.array([HELLO], np.uint64), time.monotonic(), None), None)
            for batch in self._ahead(self._batches) if pipelined else self._batches():
                self._tell(batch, self._answered(batch))

    def _warm_up(self) -> None:
        start = time.monotonic()
        for number in range(WARM_MOST):
            self.subject.request(number)
            if time.monotonic() - start > WARM_S:
                break
        if self.subject.recommender.compiles:
            self._make_programs()

    def _make_programs(self) -> None:
        """Answer batches of each size that can come, of users with histories of all lengths."""
        size = 1
        while size <= len(filled_up(self.users[: self.largest])):
            for start in range(0, min(len(self.users), PROGRAM_BATCHES * size), size):
                users = filled_up(self.users[start : start + size])
                inputs = self.subject.recommender.prepare(users).to(self.subject.device)
                self.subject.recommender.recommend(inputs, self.subject.k)
            size *= 2

    def _batches(self) -> Iterator[Batch]:
        while len(requests := self.batcher.take()):
            taken = time.monotonic()
            histories = [self.users[int(number) % len(self.users)] for number in requests["number"]]
            if self.subject.recommender.compiles:
                histories = filled_up(histories)
            try:
                inputs = self.subject.recommender.prepare(histories)
            except Exception as error:  # noqa: BLE001 - a request that fails misses the objective, the others go on
                self._complain(error)
                yield Batch(requests["number"], taken, None)
            else:
                yield Batch(requests["number"], taken, inputs)

    @staticmethod
    def _ahead(batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """Make each batch in a thread of its own while the one before it is answered."""
        ready: queue.Queue[Batch | None] = queue.Queue(maxsize=1)

        def make() -> None:
            with torch.inference_mode():
                for batch in batches():
                    ready.put(batch)
            ready.put(None)

        threading.Thread(target=make, daemon=True).start()
        while (batch := ready.get()) is not None:
            yield batch

    def _answered(self, batch: Batch) -> Recommendations | None:
        if batch.inputs is None:
            return None
        try:
            recommended = self.subject.recommender.recommend(batch.inputs.to(self.subject.device), self.subject.k)
            return Recommendations(recommended.items.cpu(), recommended.scores.cpu())
        except Exception as error:  # noqa: BLE001 - as above
            self._complain(error)
            return None

    def _tell(self, batch: Batch, recommended: Recommendations | None) -> None:
        size = len(batch.numbers)
        messages = np.zeros(size, answer_type(self.subject.k))
        messages["number"], messages["taken"], messages["size"] = batch.numbers, batch.taken, size
        if recommended is not None:
            messages["ok"] = 1
            messages["items"], messages["scores"] = (
                recommended.items[:size].numpy(),
                recommended.scores[:size].float().numpy(),
            )
        messages["done"] = time.monotonic()
        write_all(self.answers, messages.tobytes())

    def _complain(self, error: Exception) -> None:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:LAST_LETTERS]
        write_all(self.errors, said.encode(errors="replace") + b"\n")


def filled_up(histories: list[History]) -> list[History]:
    """Repeat the last history until there is a power of two of them: a program is made for each size of a batch."""
    size = 1 << (len(histories) - 1).bit_length()
    return histories + histories[-1:] * (size - len(histories))


def alone(worker: Worker, closed: list[int], *, threads: int, cores: Sequence[int] = ()) -> None:
    """Serve in this process, which was forked for it and ends with the one that forked it.

    Args:
        worker: Whose turn it is.
        closed: What others read or write, so that an end is seen as one.
        threads: CPU threads to compute with.
        cores: Where it runs; anywhere where none is named.

    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for place in closed:
        os.close(place)
    if cores:
        os.sched_setaffinity(0, cores)
    torch.set_num_threads(threads)
    worker.serve(pipelined=False)
