"""What a worker does with a ticket: the records of a group of cases, or weights below the queue's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset
from bench.fleet.folder import Attempt, QueueFolder
from bench.fleet.sweep import Sweep, Ticket, TicketKind, home_in
from bench.measure import machine
from bench.measure.outcome import Failure
from bench.records.case import Outcome
from bench.records.record import Record
from bench.reproducing.run import ReproduceOptions, StepFailedError, Steps
from bench.running.guard import Guard, available_bytes
from bench.running.runner import RunOptions, failed
from bench.suites.cases import Planned
from bench.suites.planning import Job, JobLayout, lay_out

MOST_LOSSES = 3
"""Workers that a group of cases may take with it before it is a row that says so."""


class Doer:
    """Does tickets, and keeps the dataset of the last one.

    Args:
        folder: The queue.
        sweep: What stands in it.
        machine_name: What results call this machine.
        threads: CPU threads that training takes.
        command: As it was typed, for the records.
        say: Shows a line.

    """

    def __init__(
        self,
        folder: QueueFolder,
        sweep: Sweep,
        *,
        machine_name: str,
        threads: int,
        command: str,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._sweep = sweep
        self._machine = machine_name
        self._threads = threads
        self._command = command
        self._say = say
        self._suite: Path | None = None
        self._laid: tuple[str, JobLayout] | None = None

    def train(self, ticket: Ticket) -> str:
        """Train, evaluate and study, or probe numberings; return why that failed, or nothing."""
        sweep = self._sweep
        plan = sweep.plan(self._folder.root)
        assert plan is not None, "weights are trained by a plan"
        options = ReproduceOptions(
            loading=sweep.loading,
            device=sweep.device,
            threads=self._threads,
            quality_users=sweep.quality_users or 500,
            beam_users=sweep.beam_users,
            deadline=None,
        )
        steps = Steps(plan, options, self._say)
        with home_in(self._folder.root):
            try:
                if ticket.kind is TicketKind.LEAKS:
                    steps.probe_numberings()
                else:
                    steps.finish(plan.work[ticket.place])
            except StepFailedError as error:
                return str(error)
        return ""

    def measure(self, ticket: Ticket, attempt: Attempt) -> list[Record]:
        """Return the records of a group of cases, failures included.

        Raises:
            UserError: The suite or the dataset is not as it must be on this machine.

        """
        layout = self._layout(ticket.source)
        (piece,) = layout.pieces
        group = piece.groups[ticket.place]
        options = RunOptions(
            job=self._job(ticket.source),
            suite=layout.suite,
            device=layout.device,
            timeout_s=self._sweep.timeout_s,
            memory_bytes=available_bytes(),
            quality_users=self._sweep.quality_users,
            command=self._command,
        )
        if self._folder.losses(attempt.number) >= MOST_LOSSES:
            records = self._given_up(options, piece.dataset, group)
        else:
            guard = Guard(options, piece.dataset, self._identity(attempt, layout, piece.dataset), self._say)
            try:
                records = guard.measure(group)
            finally:
                guard.close()
            guard.unfinished.finish()
        return [_signed(record, self._sweep.name, attempt.attempt) for record in records]

    def _given_up(self, options: RunOptions, dataset: Dataset, group: list[Planned]) -> list[Record]:
        said = f"{MOST_LOSSES} workers ended while they measured this group of cases"
        why = Failure(Outcome.CRASHED, said)
        return [
            failed(options, dataset, planned.case, why).model_copy(update={"named": planned.named}) for planned in group
        ]

    def _layout(self, source: str) -> JobLayout:
        if self._laid is None or self._laid[0] != source:
            self._laid = None  # before the next dataset is in memory
            self._laid = source, lay_out(self._job(source))
        return self._laid[1]

    def _job(self, source: str) -> Job:
        self._suite = self._suite or self._sweep.timed(self._folder.root)
        return self._sweep.job(self._suite, source)

    def _identity(self, attempt: Attempt, layout: JobLayout, dataset: Dataset) -> list[Any]:
        """Return what tells these measurements from all others: nothing of an earlier attempt is taken over."""
        told = [str(self._folder.root.resolve()), attempt.name, self._machine, layout.threads]
        return [*told, layout.suite.model_dump(mode="json"), machine.code_identity(), dataset.source]


def _signed(record: Record, suite: str, attempt: int) -> Record:
    source = record.provenance.model_copy(update={"attempt": attempt})
    return record.model_copy(update={"suite": suite, "provenance": source})
