"""What the tickets of a queue are: weights that are trained and evaluated, and groups of cases that are timed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from filelock import FileLock
from pydantic import Field, ValidationError

from bench.cli.loading import Loading
from bench.fleet.folder import FILLING, HOME, SWEEP, QueueFolder
from bench.ground.bounds import fault
from bench.ground.home import atomic, home
from bench.measure import machine
from bench.records.model import AtLeastOne, Model, Positive
from bench.reproducing.plan import Plan, make_plan
from bench.suites.cases import Planned
from bench.suites.definitions import Suite
from bench.suites.planning import Job, lay_out
from models.errors import UserError

DEAD_AFTER_S = 120.0
"""How long a worker may be silent, where nothing else is said."""


class TicketKind(StrEnum):
    """What is to be done."""

    LEAKS = "leaks"
    """Numberings of items are probed."""
    WEIGHTS = "weights"
    """One set of weights is trained, evaluated and studied."""
    CASES = "cases"
    """One group of cases is timed in turns; nothing else may run beside it."""


class Ticket(Model):
    """One thing that a worker does at a time.

    Attributes:
        kind: What it is.
        what: In words.
        place: Which of the plan's weights, or which of the dataset's groups of cases.
        source: What the suite calls the dataset; empty where it is none's.
        after: Numbers of tickets that must be done before.

    """

    kind: TicketKind
    what: str
    place: int = 0
    source: str = ""
    after: list[int] = Field(default=[])


class Sweep(Model):
    """All that workers on other machines must know.

    Attributes:
        name: The suite's.
        suite: What is compared.
        size: Preset of the recommenders that are trained before they are timed; None where nothing is.
        only: Recommenders that are trained; none named means all.
        sources: Datasets of the suite that are taken; none named means all.
        loading: How the datasets are loaded; without a folder, each machine takes its own ``BENCH_DATA``.
        device: As torch calls it; None takes a GPU where there is one.
        threads: CPU threads of what is measured; None takes the suite's, else one fewer than the machine's cores.
        quality_users: Users whose timed lists are held to evaluated ones; None for all.
        beam_users: Users whose beams are held against all items.
        timeout_s: What a case may take at each of its steps; None for any time.
        dead_after_s: How long a worker may be silent before others take its ticket.
        code: What tells the code that measures from other code.
        tickets: Numbered from 1.

    """

    kind: Literal["lite-llm4rec-queue"] = "lite-llm4rec-queue"
    name: str
    suite: Suite
    size: str | None = None
    only: list[str] = Field(default=[])
    sources: list[str] = Field(default=[])
    loading: Loading
    device: str | None = None
    threads: AtLeastOne | None = None
    quality_users: AtLeastOne | None = None
    beam_users: AtLeastOne = 500
    timeout_s: Positive | None = None
    dead_after_s: Positive = DEAD_AFTER_S
    code: str
    tickets: list[Ticket] = Field(default=[])

    @classmethod
    def read(cls, folder: QueueFolder) -> Self:
        """Read what stands in a queue.

        Raises:
            UserError: There is none, or it is damaged.

        """
        try:
            return cls.model_validate_json(folder.sweep())
        except ValidationError as error:
            raise UserError(f"{folder.root / SWEEP}: {fault(error, 'the queue')}; fill another folder") from error

    @property
    def file(self) -> str:
        """Name of the suite's file beside the tickets."""
        return f"{self.name}.suite.json"

    def ticket(self, number: int) -> Ticket:
        """Return a ticket by its number."""
        return self.tickets[number - 1]

    def check_code(self, root: Path) -> None:
        """Make sure that this is the code that filled the queue: figures of two revisions must not stand in one file.

        Raises:
            UserError: It is not.

        """
        here = machine.code_identity()
        if here != self.code:
            raise UserError(
                f"{root}: was filled by revision {self.code[:12]}, and this code is another, {here[:12]}: check the "
                "first out, without changes, or fill another folder"
            )

    def plan(self, root: Path) -> Plan | None:
        """Return what is trained, with weights below the queue's folder; None where nothing is."""
        if self.size is None:
            return None
        with home_in(root):
            return make_plan(
                str(root.resolve() / self.file),
                sources=self.sources,
                size=self.size,
                only=self.only,
                loading=self.loading,
                on_gpu=(self.device or "").startswith("cuda"),
            )

    def job(self, suite: Path, source: str) -> Job:
        """Return what a machine lays out for one dataset of a suite's file."""
        core = {} if self.size is None else {"min_count": self.suite.min_count}
        loading = self.loading.model_copy(update=core)
        return Job(suite=str(suite), loading=loading, device=self.device, threads=self.threads, sources=[source])

    def timed(self, root: Path) -> Path:
        """Write the suite that is timed, with checkpoints as this machine finds them, below its own home.

        Args:
            root: The queue's folder.

        Returns:
            The file.

        """
        plan = self.plan(root)
        suite = self.suite if plan is None else plan.timed(whole=True)
        assert suite is not None, "a plan that keeps nothing of earlier runs times all"
        path = home("queues", sha256(str(root.resolve()).encode()).hexdigest()[:16]) / f"{self.name}.json"
        with atomic(path) as temporary:
            temporary.write_text(suite.model_dump_json(indent=1), encoding="utf-8")
        return path


@contextmanager
def home_in(root: Path) -> Iterator[None]:
    """Keep what is trained and found below a queue's folder while the body runs."""
    before = os.environ.get("BENCH_HOME")
    os.environ["BENCH_HOME"] = str(root.resolve() / HOME)
    try:
        yield
    finally:
        if before is None:
            del os.environ["BENCH_HOME"]
        else:
            os.environ["BENCH_HOME"] = before


def fill(sweep: Sweep, root: Path) -> QueueFolder:
    """Make the queue, or find the same one already there.

    Args:
        sweep: What it is, without tickets.
        root: The folder that machines share.

    Raises:
        UserError: The folder holds another queue or something else, or the suite or a dataset is not as it must be.

    """
    folder = QueueFolder(root)
    if not (root / SWEEP).is_file():
        folder.prepare({sweep.file: sweep.suite.model_dump_json(indent=1) + "\n"})
        with FileLock(root / FILLING):
            if not (root / SWEEP).is_file():
                tickets = _tickets(sweep, root)
                filled = sweep.model_copy(update={"tickets": tickets})
                folder.open(filled.model_dump_json(indent=1) + "\n", len(tickets))
    there = Sweep.read(folder)
    names = [name for name in Sweep.model_fields if name != "tickets"]
    if differ := [name for name in names if getattr(there, name) != getattr(sweep, name)]:
        raise UserError(f"{root}: holds another queue, with another {', '.join(differ)}; give another folder")
    return folder


def _tickets(sweep: Sweep, root: Path) -> list[Ticket]:
    """List what is trained, and then the groups of cases.

    A group is measured by one machine, since its cases are timed in turns.
    """
    plan = sweep.plan(root)
    tickets = [] if plan is None else _training(plan)
    suite = sweep.timed(root)
    sources = dict.fromkeys(name for _, piece in sweep.suite.pieces() for name in piece.datasets)
    for source in (name for name in sources if not sweep.sources or name in sweep.sources):
        before = [number for number, ticket in enumerate(tickets, 1) if ticket.kind is not TicketKind.CASES]
        own = [number for number in before if tickets[number - 1].source in ("", source)]
        for piece in lay_out(sweep.job(suite, source)).pieces:  # one dataset in memory at a time
            tickets += [
                Ticket(kind=TicketKind.CASES, what=in_words(cases), place=group, source=source, after=own)
                for group, cases in enumerate(piece.groups)
            ]
    if not tickets:
        raise UserError(f"suite {sweep.name}: there is nothing to do")
    return tickets


def _training(plan: Plan) -> list[Ticket]:
    names = {id(dataset): source for source, dataset in plan.datasets.items()}
    leaks = [Ticket(kind=TicketKind.LEAKS, what="numberings of items")] if plan.suite.leaks and plan.numbering else []
    return leaks + [
        Ticket(kind=TicketKind.WEIGHTS, what=work.name, place=place, source=names[id(work.dataset)])
        for place, work in enumerate(plan.work)
    ]


def in_words(group: Sequence[Planned]) -> str:
    """Say what a group of cases is."""
    case = group[0].case
    names = ", ".join(dict.fromkeys(planned.case.recommender for planned in group))
    part = f"{group[0].part}: " if group[0].part else ""
    return f"{part}{case.dataset_variant}, {case.dtype}, batch {case.batch_size}: {names}"
