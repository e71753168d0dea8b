"""A queue as files in a folder that several machines share: who has what is told by a file's name alone.

A ticket is one empty file, and each step of its life is one rename, which only one of several machines can do::

    waiting/0007.1                        nobody has it; 1 is the number of the attempt
      claimed/0007.1@machine-412-9f3c     somebody has it, and touches the file while it lives
        done/0007.1@machine-412-9f3c      its results are in records/, under the same name
      waiting/0007.2                      its holder was not heard of: the next attempt

A holder that was taken for dead and comes back finds its claim gone and cannot hand in: its results are laid aside in
``late/``. Times are those of the file server, so that clocks of machines need not agree.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.ground.home import atomic
from models.errors import UserError

SWEEP = "queue.json"
"""File that says what the tickets are; it is there when all of them are."""

WAITING, CLAIMED, DONE, RECORDS, LATE, LOST = "waiting", "claimed", "done", "records", "late", "lost"
HOME = "home"
"""Folder in which weights, and what is found of them, are kept for all machines."""

FILLING = ".filling.lock"
PLACES = (WAITING, CLAIMED, DONE, RECORDS, LATE, LOST)

NAME = re.compile(r"(\d+)\.(\d+)(?:@([\w.-]+))?")
UNFIT = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, order=True)
class Attempt:
    """One attempt at a ticket.

    Attributes:
        number: The ticket's.
        attempt: Counted from 1.
        worker: Who has it; empty while nobody has.

    """

    number: int
    attempt: int
    worker: str = ""

    @property
    def name(self) -> str:
        """Name of its file."""
        held = f"@{self.worker}" if self.worker else ""
        return f"{self.number:04d}.{self.attempt}{held}"

    @property
    def next(self) -> Attempt:
        """The attempt after this one, which nobody has."""
        return Attempt(self.number, self.attempt + 1)

    @classmethod
    def read(cls, name: str) -> Self | None:
        """Read a file's name; None where it is that of something else."""
        match = NAME.fullmatch(name)
        return None if match is None else cls(int(match[1]), int(match[2]), match[3] or "")


def worker_name(machine: str) -> str:
    """Return a name for a worker that no other one has, on whatever machine."""
    return f"{fit_name(machine)}-{os.getpid()}-{secrets.token_hex(2)}"


def fit_name(machine: str) -> str:
    """Return a machine's name as it may stand in names of files."""
    return UNFIT.sub("-", machine).strip("-.") or "machine"


class QueueFolder:
    """The files of one queue.

    Args:
        root: The folder.

    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self, files: Mapping[str, str]) -> None:
        """Lay the folder out, empty but for files that lie beside the tickets.

        Raises:
            UserError: It holds something else, or cannot be made.

        """
        ours = {*PLACES, *files, HOME, FILLING}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if strange := sorted({path.name for path in self.root.iterdir()} - ours):
                raise UserError(f"{self.root}: holds something else, {strange[0]}; give another folder, or delete it")
            for place in PLACES:
                (self.root / place).mkdir(exist_ok=True)
            for name, content in files.items():
                with atomic(self.root / name) as path:
                    path.write_text(content, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{self.root}: no queue can be made there ({error.strerror}); give another path") from error

    def open(self, sweep: str, tickets: int) -> None:
        """Put tickets into a folder that was prepared; workers see them all or none.

        Args:
            sweep: Content of `SWEEP`.
            tickets: How many; they are numbered from 1.

        """
        for left in self.waiting():  # of somebody who was interrupted
            (self.root / WAITING / left.name).unlink()
        for number in range(1, tickets + 1):
            (self.root / WAITING / Attempt(number, 1).name).touch()
        with atomic(self.root / SWEEP) as path:
            path.write_text(sweep, encoding="utf-8")

    def sweep(self) -> str:
        """Return what says what the tickets are.

        Raises:
            UserError: There is no queue.

        """
        try:
            return (self.root / SWEEP).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            told = f"python -m bench.reproduce SUITE --queue {self.root} fills one"
            raise UserError(f"{self.root}: there is no queue of cases; {told}") from error

    def waiting(self) -> list[Attempt]:
        """Return the attempts that nobody has, in the order of their numbers."""
        return sorted(self._names(WAITING))

    def claimed(self) -> list[Attempt]:
        """Return the attempts that somebody has."""
        return sorted(self._names(CLAIMED))

    def done(self) -> list[Attempt]:
        """Return the attempts whose results are in, one a ticket."""
        return sorted(self._names(DONE))

    def claim(self, wanted: Attempt, worker: str) -> Attempt | None:
        """Take a ticket.

        Args:
            wanted: One of `waiting`.
            worker: A name that only this worker has.

        Returns:
            The attempt, now this worker's; None where somebody else was sooner.

        """
        ours = Attempt(wanted.number, wanted.attempt, worker)
        source, target = self.root / WAITING / wanted.name, self.root / CLAIMED / ours.name
        with suppress(FileNotFoundError):
            os.utime(source)  # a rename keeps the time, and this one may be of long ago
            source.rename(target)
        return ours if target.exists() else None  # over a network a rename may be done and still be said to have failed

    def beat(self, held: Attempt) -> bool:
        """Say that the holder lives; False where the ticket is its no longer."""
        try:
            os.utime(self.root / CLAIMED / held.name)
        except FileNotFoundError:
            return False
        return True

    def hand_in(self, held: Attempt, results: str) -> bool:
        """Put results down and close the ticket.

        Args:
            held: A claim.
            results: JSON.

        Returns:
            False where the ticket is the holder's no longer: the results are laid aside, and count for nothing.

        """
        path = self.root / RECORDS / f"{held.name}.json"
        with atomic(path) as temporary:
            temporary.write_text(results, encoding="utf-8")
        closed = self.root / DONE / held.name
        with suppress(FileNotFoundError):
            (self.root / CLAIMED / held.name).rename(closed)
        if closed.exists():
            return True
        path.rename(self.root / LATE / path.name)
        return False

    def results(self, closed: Attempt) -> str:
        """Return what was handed in for one of `done`."""
        return (self.root / RECORDS / f"{closed.name}.json").read_text(encoding="utf-8")

    def put_back(self, held: Attempt) -> bool:
        """Let others have what somebody has; False where that is over, or was done by somebody else."""
        return self._again(CLAIMED, held)

    def losses(self, number: int) -> int:
        """Return how many holders of a ticket died."""
        return sum(attempt.number == number for attempt in self._names(LOST))

    def reopen(self, closed: Attempt) -> bool:
        """Let a ticket that was done be tried again; what was handed in stays in ``records/``."""
        return self._again(DONE, closed)

    def put_back_dead(self, dead_after_s: float) -> list[Attempt]:
        """Let others have the tickets of holders that were not heard of for so long.

        Returns:
            The attempts that came to nothing.

        """
        if not (held := self.claimed()):
            return []
        now = self._now()
        buried = []
        for attempt in held:
            with suppress(FileNotFoundError):
                silent_s = now - (self.root / CLAIMED / attempt.name).stat().st_mtime
                if silent_s > dead_after_s and self.bury(attempt):
                    buried.append(attempt)
        return buried

    def bury(self, held: Attempt) -> bool:
        """Let others have what somebody had who is known to be dead; False as for `put_back`."""
        if not self.put_back(held):
            return False
        (self.root / LOST / held.name).touch()
        return True

    def _again(self, place: str, attempt: Attempt) -> bool:
        source, target = self.root / place / attempt.name, self.root / WAITING / attempt.next.name
        try:
            source.rename(target)
        except FileNotFoundError:
            return False
        return True

    def _now(self) -> float:
        """Return the file server's time."""
        probe = self.root / f".now-{secrets.token_hex(4)}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _names(self, place: str) -> Iterator[Attempt]:
        try:
            names = [path.name for path in (self.root / place).iterdir()]
        except FileNotFoundError as error:
            raise UserError(f"{self.root}: there is no queue of cases any more") from error
        return (attempt for name in names if (attempt := Attempt.read(name)) is not None)
