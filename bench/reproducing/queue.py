"""A queue of jobs for a machine that is to be had for minutes: what stands in it, what is done, what comes next."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.ground.bounds import Minutes, fault
from bench.ground.home import home
from bench.ground.textfiles import read_text
from bench.records.model import Model, NonNegative
from bench.suites import definitions
from bench.suites.definitions import Entry, Suite
from models.errors import UserError

QUEUES = Path(__file__).with_name("queues")

PLACES = ("device", "size", "out", "root")
"""What may stand in braces in the words of a command; ``{data}`` is a word of its own."""

DATA = "{data}"

ROW = "row.json"
"""File of a job's folder that is written last: with it, the job is over."""

SHORTEST_S = 0.2
"""Timed seconds of a case, however small the share of a size."""


def filled_in(word: str, values: Mapping[str, str]) -> str:
    """Return a word of a command with values in the places of their names.

    Raises:
        ValueError: The word has other names in braces.

    """
    try:
        return word if word == DATA else word.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        usable = ", ".join(f"{{{name}}}" for name in (*PLACES, "data"))
        raise ValueError(f"command word {word!r}: only {usable} may stand in braces") from error


class Size(BaseModel):
    """A preset that a queue may be run at.

    Attributes:
        share: Share of each job's minutes, of training and of timed seconds that is taken.
        dataset: In the place of every suite's datasets, where the size is a rehearsal; None leaves them.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: float = Field(gt=0, le=100)
    dataset: str | None = None


class QueuedJob(BaseModel):
    """One thing to do, with all that it needs.

    Attributes:
        name: Name of its row and of its folder.
        does: What it gives, a few words.
        minutes: How long it takes at the queue's own size.
        needs_cuda: Whether it says nothing on a CPU, where it is passed over.
        command: Words after ``python -m``, with ``{device}``, ``{size}``, ``{out}``, ``{root}``, the folder of the
            checkout, and ``{data}``, options that say where the data are.
        suite: In the place of a command: what is measured, or the name of a suite. A decoder ``{decoder}`` is
            the queue's for the kind of device.
        part: Title of the one part that is taken of a named suite.
        trains: Whether the suite's recommenders are trained, evaluated and then timed, as `bench.reproduce` does.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    does: str
    minutes: Minutes
    needs_cuda: bool = False
    command: list[str] = []
    suite: Suite | str | None = None
    part: str | None = None
    trains: bool = False

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if bool(self.command) == (self.suite is not None):
            raise ValueError("name a command or a suite, and not both")
        for word in self.command:
            filled_in(word, dict.fromkeys(PLACES, ""))
        if self.part is not None and not isinstance(self.suite, str):
            raise ValueError("a part goes with the name of a suite")
        return self

    def measured(self, preset: str, size: Size, *, decoder: str) -> Suite | None:
        """Return the suite that the job measures, at a size.

        Args:
            preset: Takes the place of ``{size}`` in settings.
            size: What the queue says of that preset.
            decoder: Takes the place of ``{decoder}`` among decoders.

        Returns:
            None where the job is a command.

        Raises:
            UserError: There is no such suite, or no such part of it.

        """
        if self.suite is None:
            return None
        suite = definitions.read_suite(self.suite) if isinstance(self.suite, str) else self.suite
        if self.part is not None:
            parts = [part for part in suite.parts if part.title == self.part]
            if not parts:
                raise UserError(f"job {self.name}: suite {self.suite} has no part {self.part!r}")
            suite = suite.model_copy(update={"parts": parts})

        def at_size(entry: Entry) -> Entry:
            named = {key: preset if value == "{size}" else value for key, value in entry.settings.items()}
            minutes = entry.train_minutes and entry.train_minutes * size.share
            decoders = [name.format(decoder=decoder) for name in entry.decoders]
            return entry.model_copy(update={"settings": named, "train_minutes": minutes, "decoders": decoders})

        return suite.model_copy(
            update={
                "recommenders": [at_size(entry) for entry in suite.recommenders],
                "parts": [
                    part.model_copy(
                        update={"recommenders": part.recommenders and [at_size(entry) for entry in part.recommenders]}
                    )
                    for part in suite.parts
                ],
                "train_minutes": suite.train_minutes and suite.train_minutes * size.share,
                "case_seconds": max(min(SHORTEST_S, suite.case_seconds), suite.case_seconds * size.share),
            }
            | ({"datasets": [size.dataset], "min_count": 0} if size.dataset else {})
        )


class Queue(BaseModel):
    """Jobs in the order of their worth.

    Attributes:
        description: One line.
        sizes: Presets that the jobs may be run at; the first is the one that their minutes are of.
        decoder: What ``{decoder}`` is, by kind of device.
        jobs: The most valuable first.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    description: str
    sizes: dict[str, Size] = Field(min_length=1)
    decoder: dict[str, str] = {}
    jobs: list[QueuedJob] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [job.name for job in self.jobs]
        if len(set(names)) < len(names):
            raise ValueError("two jobs have one name")
        return self

    def size(self, preset: str) -> Size:
        """Return what the queue says of a preset.

        Raises:
            UserError: The queue does not know the size.

        """
        if preset not in self.sizes:
            raise UserError(f"--size {preset}: this queue runs at {', '.join(self.sizes)}")
        return self.sizes[preset]


class Ending(StrEnum):
    """What came of a job."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class JobRow(Model):
    """What came of a job.

    Attributes:
        job: Its name.
        outcome: Whether it is done.
        detail: Why, where it is not done.
        seconds: How long it took.
        started: When, ISO 8601.
        device: Where it ran.
        commit: Revision of the code; None outside git.
        digest: SHA-256 of the job as the queue has it, and of the size.

    """

    job: str
    outcome: Ending
    detail: str = ""
    seconds: NonNegative
    started: str
    device: str
    commit: str | None = None
    digest: str


def digest(job: QueuedJob, size: str) -> str:
    """Return the SHA-256 by which a row is known to be of just this job."""
    return sha256(f"{size} {job.model_dump_json()}".encode()).hexdigest()


def queues() -> dict[str, str]:
    """Return the queues that come along, by name, with their descriptions."""
    return {path.stem: _read(path).description for path in sorted(QUEUES.glob("*.toml"))}


def read_queue(name: str) -> Queue | None:
    """Read a queue by name or from a TOML file; None where the name is that of something else.

    Raises:
        UserError: The file holds jobs, but no sound queue.

    """
    path = Path(name) if name.endswith(".toml") else QUEUES / f"{name}.toml"
    if not name.strip() or not path.is_file() or (name.endswith(".toml") and "jobs" not in _values(path)):
        return None
    return _read(path)


def _values(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: invalid TOML: {error}") from error


def _read(path: Path) -> Queue:
    try:
        return Queue.model_validate(_values(path))
    except ValidationError as error:
        raise UserError(f"{path}: {fault(error, 'the queue')}") from error


class State:
    """What of a queue is done, in a folder a job below our home.

    Args:
        name: Name of the queue.
        size: At which it is run.

    Attributes:
        home: The folder that holds those of the jobs.

    """

    def __init__(self, name: str, size: str) -> None:
        self.size = size
        self.home = home("reproduce", "queues", name, size)

    def folder(self, job: str) -> Path:
        """Return the folder of a job's files."""
        return self.home / job

    def row(self, job: QueuedJob) -> JobRow | None:
        """Return what came of just this job; None where it was not run to its end."""
        path = self.folder(job.name) / ROW
        try:
            row = JobRow.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return row if row.digest == digest(job, self.size) else None

    def files(self, job: QueuedJob) -> dict[str, bytes]:
        """Return the files of a job that is over, by their place in its folder; none of one that is not."""
        if self.row(job) is None:
            return {}
        folder = self.folder(job.name)
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    def next(self, queue: Queue, minutes: float | None, *, on_cuda: bool, retry: set[str]) -> QueuedJob | None:
        """Return the first job that is not over and ends in time.

        Args:
            queue: Whose.
            minutes: That are left; None for no end.
            on_cuda: Whether there is a GPU for what needs one.
            retry: Names of jobs that failed and are to be tried again.

        """
        share = queue.size(self.size).share
        for job in queue.jobs:
            over = self.row(job) is not None and job.name not in retry
            if over or (job.needs_cuda and not on_cuda):
                continue
            if minutes is None or job.minutes * share <= minutes:
                return job
        return None
