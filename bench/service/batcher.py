"""Turns waiting requests into batches."""

from __future__ import annotations

import os
import select
import time
from contextlib import AbstractContextManager
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
            content = os.read(self.queue, REQUEST.itemsize)
            if not content:
                return np.empty(0, REQUEST)
            most = self.rules.largest * REQUEST.itemsize
            end = np.frombuffer(content, REQUEST)["sent"][0] + self.rules.window_s
            while len(content) < most:
                ready, _, _ = select.select([self.queue], [], [], max(0.0, end - time.monotonic()))
                more = os.read(self.queue, most - len(content)) if ready else b""
                if not more:
                    break
                content += more
            return np.frombuffer(content, REQUEST)
