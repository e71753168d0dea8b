"""Turns waiting requests into batches."""

from __future__ import annotations

import os
import select
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import numpy as np

from bench.service.wire import REQUEST


class Rules:
    """The window and the largest batch, which all workers read and the service changes between trials.

    Args:
        shared: float64 [2] in memory that all workers share.

    """

    def __init__(self, shared: np.ndarray) -> None:
        self._shared = shared

    def set(self, window_s: float, largest: int) -> None:
        """Let the next batches wait so long, and hold so many users at most."""
        self._shared[:] = window_s, largest

    @property
    def window_s(self) -> float:
        """How long a batch may wait to be filled, counted from when its oldest request was sent."""
        return float(self._shared[0])

    @property
    def largest(self) -> int:
        """Most users of a batch."""
        return int(self._shared[1])


@dataclass(frozen=True)
class Batcher:
    """Takes batches from the queue, one worker at a time.

    Attributes:
        queue: Where requests are read from.
        turn: Held by the worker that takes a batch.
        rules: What a batch is.

    """

    queue: int
    turn: AbstractContextManager[object]
    rules: Rules

    def take(self) -> np.ndarray:
        """Wait for a request, then until the batch is full or its window has passed.

        What waits already is taken at once. Returns requests, oldest first; none when nobody can ask any more.
        """
        with self.turn:
            while (content := self._read(REQUEST.itemsize, None)) is None:
                pass
            if not content:
                return np.empty(0, REQUEST)
            most = self.rules.largest * REQUEST.itemsize
            end = np.frombuffer(content, REQUEST)["sent"][0] + self.rules.window_s
            while len(content) < most:
                more = self._read(most - len(content), max(0.0, end - time.monotonic()))
                if not more:
                    break
                content += more
            return np.frombuffer(content, REQUEST)

    def _read(self, most: int, wait_s: float | None) -> bytes | None:
        """Read from the queue, which never waits by itself; None where nothing came, or the service took it out."""
        ready, _, _ = select.select([self.queue], [], [], wait_s)
        with suppress(BlockingIOError):
            return os.read(self.queue, most) if ready else None
        return None
