"""One machine measures one thing at a time, and nothing trains beside it, however many workers it has."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(*, alone: bool) -> Iterator[bool]:
    """Hold the machine while the body runs; the system lets go of it for a process that was killed.

    Args:
        alone: Whether nobody else may hold it, as when time is taken; else others may who do not ask for that.

    Yields:
        Whether it is held; False where somebody else's hold is in the way.

    """
    path = Path(tempfile.gettempdir()) / f"lite-llm4rec-bench-{os.getuid()}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
