"""A worker as the gate sees it: asked in one line, answering in one, or dead."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

import bench
from bench.gate.sides import Side
from models.errors import UserError

LAST_LINES = 3

START_S = 300.0
"""What starting, loading the data and planning may take."""


class CaseFailedError(Exception):
    """A case cannot be measured on this side."""


class WorkerDiedError(Exception):
    """A worker ended or hung, and took what it was doing with it."""


class Worker(Protocol):
    """What the gate needs of a worker; leaving its context ends it."""

    def tell(self, what: str, **details: Any) -> None:
        """Say what to do, without waiting for it."""

    def answer(self, what: str) -> Any:
        """Wait for the answer to what was told."""

    def ask(self, what: str, **details: Any) -> Any:
        """Tell, and wait for the answer."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End the worker, whatever it does."""


class WorkerProcess:
    """A fresh process of one side; it runs the side's own code.

    Args:
        side: Whose.
        head: The side whose folder the search path may lead into.
        timeout_s: What one answer may take.

    """

    def __init__(self, side: Side, *, head: Side, timeout_s: float) -> None:
        self._side = side
        self._timeout_s = timeout_s
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            cwd=side.folder,
            env=_environment(side, head),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is the gate's to handle
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def tell(self, what: str, **details: Any) -> None:
        """Say what to do, without waiting for it.

        Raises:
            WorkerDiedError: It is gone.

        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what} | details).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise WorkerDiedError(self._epitaph(what)) from error

    def answer(self, what: str) -> Any:
        """Wait, blocked and not spinning, for the answer to what was told.

        Raises:
            CaseFailedError: What was asked failed.
            UserError: What was asked is wrong.
            WorkerDiedError: There is no answer, or none in time.

        """
        reply = json.loads(self._line(what))
        if "ok" in reply:
            return reply["ok"]
        if what == "plan":
            raise UserError(f"{self._side.name}: {reply.get('refused') or reply.get('failed')}")
        raise CaseFailedError(reply.get("refused") or reply.get("failed"))

    def ask(self, what: str, **details: Any) -> Any:
        """Tell, and wait for the answer; raises what these raise."""
        self.tell(what, **details)
        return self.answer(what)

    def kill(self) -> None:
        """End the process and whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):  # what was not yet sent has no reader
                    stream.close()

    def _line(self, what: str) -> bytes:
        assert self._process.stdout is not None
        allowed_s = START_S if what == "plan" else self._timeout_s
        end = time.monotonic() + allowed_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self.kill()
                remedy = "" if what == "plan" else " (--case-timeout)"
                raise WorkerDiedError(f"hung for {allowed_s:g} s in {what!r} and was killed{remedy}")
            read = os.read(self._process.stdout.fileno(), 1 << 20)
            if not read:
                raise WorkerDiedError(self._epitaph(what))
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _epitaph(self, what: str) -> str:
        status = self._process.wait()
        ended = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        memory = " (out of memory, perhaps)" if status == -signal.SIGKILL else ""
        self._errors.seek(0)
        said = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        if any("No module named bench.worker" in line for line in said):
            return "has no bench.worker: it is older than the gate; compare with a later revision"
        last = f": {' / '.join(said[-LAST_LINES:])}" if said and status > 0 else ""
        return f"{ended}{memory} in {what!r}{last}"


def _environment(side: Side, head: Side) -> dict[str, str]:
    """Return what the worker finds itself in: a search path that leads into its own side, and to our harness last."""
    ours = str(Path(bench.__file__).resolve().parent.parent)
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    moved = [_moved(entry, side, head) for entry in (*entries, ours)]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return kept | {"PYTHONPATH": os.pathsep.join(moved)}


def _moved(entry: str, side: Side, head: Side) -> str:
    """Turn a folder of head's checkout into the same one of the side's."""
    path = Path(entry).resolve()
    if path != head.top and not path.is_relative_to(head.top):
        return str(path)
    there = side.top / path.relative_to(head.top)
    return str(there if there.exists() else path)
