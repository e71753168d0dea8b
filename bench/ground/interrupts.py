"""Ctrl-C while libraries are still being imported: one line, and not a traceback through theirs."""

from __future__ import annotations

import os
import signal
from types import FrameType

STATUS = 130
"""What a shell says of a process that Ctrl-C ended: 128 + SIGINT."""

LINE = "interrupted"


def quit_quietly() -> None:
    """From now on let Ctrl-C end this process at once, with one line: there is nothing to clean up yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)


def hand_back() -> None:
    """Let Ctrl-C be an exception again, once there is somebody who catches it."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """Let further Ctrl-Cs pass: this process is about to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _quit(_: int, __: FrameType | None) -> None:
    os.write(2, f"{LINE}\n".encode())
    os._exit(STATUS)
