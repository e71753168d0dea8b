"""What client and workers say to each other: fixed-size messages through pipes of the system.

All requests go through one pipe, from which whichever worker is free takes the next ones: the pipe is the queue.
Each worker has a pipe of its own for answers. Times are those of the machine's monotonic clock, which all processes
share.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

import numpy as np

REQUEST = np.dtype([("number", "<u8"), ("sent", "<f8")])
"""Number of the request, and when it was sent."""

PIPE_BYTES = 2**20
"""Room of the queue, where the system gives it: 65,536 requests."""

HELLO = 2**64 - 1
"""Number of the answer by which a worker says that it is warm."""


def answer_type(k: int) -> np.dtype[np.void]:
    """Return what an answer with k places is made of.

    `taken` is when the request became part of a batch, `done` when its list was on the host, `size` how many users
    the batch held, and `ok` 0 where the recommender failed.
    """
    fields = [("number", "<u8"), ("taken", "<f8"), ("done", "<f8"), ("size", "<u4"), ("ok", "<u4")]
    return np.dtype([*fields, ("items", "<i8", (k,)), ("scores", "<f4", (k,))])


def queue_pipe() -> tuple[int, int]:
    """Return the ends of a pipe for requests, to read and to write; neither ever waits."""
    reads, writes = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the system may allow less
            fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    for place in (reads, writes):
        os.set_blocking(place, False)
    return reads, writes


def write_all(place: int, content: bytes) -> None:
    """Write all of it, waiting for room."""
    left = memoryview(content)
    while left:
        left = left[os.write(place, left) :]


class Messages:
    """Cuts what comes through a pipe into whole messages.

    Args:
        kind: What they are made of.

    """

    def __init__(self, kind: np.dtype[np.void]) -> None:
        self._kind = kind
        self._left = b""

    def cut(self, read: bytes) -> np.ndarray:
        """Return the messages that are whole by now, in order."""
        content = self._left + read
        complete = len(content) // self._kind.itemsize * self._kind.itemsize
        self._left = content[complete:]
        return np.frombuffer(content[:complete], self._kind)
