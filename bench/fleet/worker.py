"""Empties a queue: takes a ticket, says that it lives, hands results in, until nothing is left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.fleet.folder import Attempt, QueueFolder, worker_name
from bench.fleet.measuring import Doer
from bench.fleet.results import HandedIn, machine_facts
from bench.fleet.sweep import Sweep, Ticket, TicketKind
from bench.fleet.turns import turn
from bench.records.record import Record
from models.errors import UserError

BEATS = 6
"""Signs of life in the time after which a worker is taken for dead."""

POLL_S = 1.0


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        machine: What results call this machine: each name is a column of its own.
        threads: CPU threads that training takes.
        command: As it was typed, for the records.
        kinds: Tickets that it takes.
        stay: Whether to wait for tickets of others that may come back, instead of ending when none is to be had.
        name: Name of the worker in the queue, which no other one has; empty makes one.

    """

    machine: str
    threads: int
    command: str
    kinds: frozenset[TicketKind] = frozenset(TicketKind)
    stay: bool = True
    name: str = ""


class QueueWorker:
    """One worker.

    Args:
        folder: The queue.
        options: How it works.
        say: Shows a line.

    Raises:
        UserError: There is no queue, or it was filled by other code.

    """

    def __init__(self, folder: QueueFolder, options: WorkerOptions, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._options = options
        self._say = say
        self._name = options.name or worker_name(options.machine)
        self._sweep = Sweep.read(folder)
        self._sweep.check_code(folder.root)
        self._doer = Doer(
            folder,
            self._sweep,
            machine_name=options.machine,
            threads=options.threads,
            command=options.command,
            say=say,
        )

    def run(self) -> int:
        """Do tickets until there are no more, and return how many."""
        count = 0
        while True:
            self._put_back_dead()
            wanted = self._next()
            if wanted is None:
                if not self._options.stay or self._nothing_left():
                    return count
            else:
                ticket = self._sweep.ticket(wanted.number)
                with turn(alone=ticket.kind is TicketKind.CASES) as held:
                    claim = self._folder.claim(wanted, self._name) if held else None
                    if claim is not None:
                        self._do(ticket, claim)
                        count += 1
                        continue
            time.sleep(POLL_S)

    def _do(self, ticket: Ticket, claim: Attempt) -> None:
        """Do one ticket; where this process is asked to end, others have it at once."""
        self._say(f"{claim.number} of {len(self._sweep.tickets)}: {ticket.what}")
        started = datetime.now(UTC).isoformat(timespec="seconds")
        records: list[Record] = []
        failure = ""
        try:
            with _beating(self._folder, claim, self._sweep.dead_after_s / BEATS):
                if ticket.kind is TicketKind.CASES:
                    records = self._doer.measure(ticket, claim)
                else:
                    failure = self._doer.train(ticket)
        except BaseException:
            self._folder.put_back(claim)
            raise
        handed_in = HandedIn(
            machine=self._options.machine,
            facts=machine_facts(),
            started=started,
            failure=failure,
            records=records,
        )
        if not self._folder.hand_in(claim, handed_in.model_dump_json()):
            self._say(f"{claim.number}: others have it by now, since this worker was silent: its results are late")
        elif failure:
            self._say(f"{claim.number}: failed: {failure}")

    def _put_back_dead(self) -> None:
        for lost in self._folder.put_back_dead(self._sweep.dead_after_s):
            self._say(f"{lost.number}: {lost.worker} was not heard of for {self._sweep.dead_after_s:g} s: tried again")

    def _next(self) -> Attempt | None:
        """Return the first ticket of our kinds before which all that must be is done."""
        done = {ended.number for ended in self._folder.done()}
        for attempt in self._folder.waiting():
            ticket = self._sweep.ticket(attempt.number)
            if ticket.kind in self._options.kinds and done.issuperset(ticket.after):
                return attempt
        return None

    def _nothing_left(self) -> bool:
        done = {attempt.number for attempt in self._folder.done()}
        return all(
            number in done for number, ticket in enumerate(self._sweep.tickets, 1) if ticket.kind in self._options.kinds
        )


@contextmanager
def _beating(folder: QueueFolder, claim: Attempt, every_s: float) -> Iterator[None]:
    """Say that the holder of a claim lives, as long as the body runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_s):
            try:
                if not folder.beat(claim):
                    return
            except OSError as error:  # a file server that is away for a while
                print(f"note: {folder.root}: {error.strerror}", file=sys.stderr)  # noqa: T201 - rich would fold the line

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def retry_failed(folder: QueueFolder, sweep: Sweep) -> int:
    """Let tickets be tried again that failed or hold a case that did, and return how many; what they gave stays.

    Raises:
        UserError: What was handed in is damaged.

    """
    again = 0
    for attempt in folder.done():
        handed_in = HandedIn.read(folder, attempt)
        if handed_in.failed and folder.reopen(attempt):
            again += 1
            after = [number for number, ticket in enumerate(sweep.tickets, 1) if attempt.number in ticket.after]
            for later in folder.done():
                if later.number in after:
                    folder.reopen(later)
    return again


def kinds_of(only: str | None) -> frozenset[TicketKind]:
    """Return the tickets that ``training`` or ``timing`` is; all where nothing is said.

    Raises:
        UserError: It is another word.

    """
    timing = frozenset({TicketKind.CASES})
    kinds = {None: frozenset(TicketKind), "training": frozenset(TicketKind) - timing, "timing": timing}
    if only not in kinds:
        raise UserError(f"--only {only}: say training or timing, or leave it out")
    return kinds[only]


def check_name(machine: str) -> str:
    """Return a machine's name if it can be one.

    Raises:
        UserError: It is empty, or would not be a name of a file.

    """
    if not machine.strip() or machine in {".", ".."} or "/" in machine or "\0" in machine:
        raise UserError(f"--machine {machine!r}: names no machine; leave it out to take the computer's name")
    return machine
