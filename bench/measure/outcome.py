"""How a case may end other than well, and the deadline that ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType

import torch

from bench.records.case import Outcome
from models.contract import BrokenListError
from models.errors import UserError

Step = Callable[[str, str, float | None], AbstractContextManager[object]]
"""Told before the code of a recommender runs: the case's name, what is done, and the seconds that it may take; whoever
watches can then say what a process was at when it ended or hung."""


def unwatched(case: str, doing: str, limit_s: float | None) -> AbstractContextManager[object]:
    """Tell nobody."""
    del case, doing, limit_s
    return nullcontext()


class CaseTimeoutError(Exception):
    """A case took longer than it may."""


class WorkerDiedError(Exception):
    """A process that answered requests ended."""


@dataclass(frozen=True)
class Failure:
    """Why there is no number."""

    outcome: Outcome
    detail: str


@contextmanager
def deadline(seconds: float | None, *, allowed_s: float | None = None) -> Iterator[None]:
    """Raise `CaseTimeoutError` in the body once `seconds` have passed; None never does.

    The alarm is noticed between Python instructions, so one kernel that hangs outlasts it.

    Args:
        seconds: What is left.
        allowed_s: What was allowed in all, for the message; None where nothing was spent before.

    """
    if seconds is None:
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise CaseTimeoutError(f"took longer than the {allowed_s or seconds:g} s that --case-timeout allows")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def failure(error: BaseException) -> Failure:
    """Say in one line how a case ended."""
    message = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, Exception):  # SystemExit, KeyboardInterrupt: what would have ended the process
        return Failure(Outcome.CRASHED, f"ended its process by {type(error).__name__}: {message}"[:300])
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in message:
        return Failure(Outcome.OUT_OF_MEMORY, message[:300])
    matched = next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), None)
    if matched is not None:
        return Failure(matched, message)
    return Failure(Outcome.ERROR, f"{type(error).__name__}: {message}"[:300])


_OUTCOMES: dict[type[Exception], Outcome] = {
    CaseTimeoutError: Outcome.TIMED_OUT,
    WorkerDiedError: Outcome.CRASHED,
    BrokenListError: Outcome.ERROR,
    UserError: Outcome.UNSUPPORTED,
    NotImplementedError: Outcome.UNSUPPORTED,
}
"""Exceptions whose message says all that there is to say."""
