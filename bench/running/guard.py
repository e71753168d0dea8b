"""Measures cases in a process of their own, so that one that crashes, hangs or takes all memory costs itself alone.

The process says what it is about to do with which case, and hands over each record when it is whole::

    this process                    the measuring process
      plan          ─────────────▶    loads the data, lists the cases
                    ◀─ begin case, what, seconds that it may take
                    ◀─ say line
                    ◀─ record
      keeps it      ─ go on ─────▶

Where it ends, or does not come back in time, the case that it was at gets a row that says so, and another process
goes on with the rest.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.data.dataset import Dataset
from bench.measure.outcome import Failure
from bench.measure.peaks import peaks
from bench.records.case import Case, Outcome
from bench.records.cost import Memory
from bench.records.model import Unavailable
from bench.records.record import Record
from bench.running.cold import cold_start
from bench.running.isolated import FROM_ENVIRONMENT, own_memory
from bench.running.runner import Runner, RunOptions, failed
from bench.running.unfinished import Unfinished
from bench.suites.cases import Planned
from bench.suites.planning import lay_out
from models.errors import UserError

GRACE_S = 5.0
"""How much longer than it may a step is waited for: its own alarm should end it first."""

LAST_LETTERS = 200
"""How much of its last line a process that ended is quoted with."""


class CaseEndedError(Exception):
    """The measuring process ended or hung."""

    def __init__(self, case: str, why: Failure) -> None:
        super().__init__(why.detail)
        self.case = case
        self.why = why


class Measures(Protocol):
    """What measures cases side by side."""

    def measure(self, group: Sequence[Planned], *, first_turn: int) -> Iterator[Record]:
        """Yield the record of each case when it is whole."""


class Guard:
    """Measures the groups of one dataset case by case, keeps what is finished, and outlives what crashes.

    Args:
        options: What holds for all cases.
        dataset: What is recommended from.
        identity: Whatever decides the run's numbers, as JSON: what an interrupted run kept is found by it.
        progress: Told what goes on.
        in_process: Whether to measure here, as a debugger needs it; a crash then ends the run.

    """

    def __init__(
        self,
        options: RunOptions,
        dataset: Dataset,
        identity: object,
        progress: Callable[[str], None],
        *,
        in_process: bool = False,
    ) -> None:
        self.unfinished = Unfinished(identity)
        self._options = options
        self._dataset = dataset
        self._measures: Measures
        if in_process:
            self._measures = Runner(options, dataset, self.unfinished, progress)
        else:
            self._measures = Child(options, identity, progress)

    def measure(self, group: Sequence[Planned]) -> list[Record]:
        """Return the records of a group of cases, in order, failures included; finished ones are not measured again."""
        records: dict[str, Record] = {}
        for planned in group:
            kept = self.unfinished.record(planned.case) or self.unfinished.hazard(planned.case)
            if kept is not None:
                records[planned.case.name] = kept
        while left := [planned for planned in group if planned.case.name not in records]:
            try:
                for record in self._measures.measure(left, first_turn=self._next_turn(group, records)):
                    records[record.case.name] = self._kept(record)
            except CaseEndedError as error:
                ended = next((planned for planned in left if planned.case.name == error.case), left[0])
                records[ended.case.name] = self._kept(failed(self._options, self._dataset, ended.case, error.why))
        return [records[planned.case.name].model_copy(update={"named": planned.named}) for planned in group]

    def close(self) -> None:
        """End the measuring process, if there is one."""
        if isinstance(self._measures, Child):
            self._measures.close()

    def _kept(self, record: Record) -> Record:
        """Add what a process of its own tells of a case's memory, or of a service's cold start; keep the record."""
        if record.outcome is Outcome.OK and self._options.suite.own_process:
            own = own_memory(self._options.job, record.case.name, timeout_s=self._options.timeout_s)
            record = record.model_copy(update={"memory": _with_process(record.memory, own)})
        if record.load is not None:
            cold = cold_start(self._options.job, record.case.name, timeout_s=self._options.timeout_s)
            record = record.model_copy(update={"load": record.load.model_copy(update={"cold": cold})})
        self.unfinished.keep_record(record)
        return record

    def _next_turn(self, group: Sequence[Planned], records: dict[str, Record]) -> int:
        """Return the first number that no turn of the group has had."""
        timed = [*records.values(), *(self.unfinished.timed(planned.case) for planned in group)]
        taken = [max(record.latency.turns) for record in timed if record is not None and record.latency is not None]
        return max(taken, default=-1) + 1


def _with_process(memory: Memory | Unavailable | None, own: Memory | Unavailable) -> Memory | Unavailable | None:
    """Put together what two processes tell of a case's memory; where it is served alone, all of that holds."""
    if isinstance(own, Memory):
        return own
    return memory.model_copy(update={"process_bytes": own}) if isinstance(memory, Memory) else memory


@dataclass(frozen=True)
class Doing:
    """What the measuring process is about to do.

    Attributes:
        case: Name of the case; empty before the first.
        what: In words, to be read behind "while".
        limit_s: Seconds that it may take; None for any time.

    """

    case: str
    what: str
    limit_s: float | None


STARTING = Doing("", "loading the data", None)


class Child:
    """A process that measures, begun when there is something to measure, and begun anew after it ended.

    Args:
        options: What holds for all cases.
        identity: Identity of the run, see `Guard`.
        progress: Told what goes on.

    """

    def __init__(self, options: RunOptions, identity: object, progress: Callable[[str], None]) -> None:
        self._options = options
        self._identity = identity
        self._progress = progress
        self._process: ForkServerProcess | None = None
        self._doing = STARTING

    def measure(self, group: Sequence[Planned], *, first_turn: int) -> Iterator[Record]:
        """Yield the record of each case when it is whole.

        Raises:
            CaseEndedError: The process ended or hung.
            UserError: It could not be started, or could not plan what this one planned.

        """
        self._started()
        self._send({"cases": [planned.case.name for planned in group], "first_turn": first_turn})
        while True:
            message = self._received()
            match message:
                case ("begin", Doing() as doing):
                    self._doing = doing
                case ("say", str(line)):
                    self._progress(line)
                case ("record", str(text)):
                    yield Record.model_validate_json(text)
                    self._send("go on")
                case ("refused", str(said)):
                    self.close()
                    raise UserError(said)
                case _:
                    self._doing = STARTING
                    return

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._ours.close()
            self._log.close()
            self._process = None
        self._doing = STARTING

    def _started(self) -> None:
        if self._process is not None:
            return
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench.running.guard"])
        self._ours, theirs = context.Pipe()
        self._log = tempfile.NamedTemporaryFile(prefix="bench-", suffix=".log")  # noqa: SIM115 - as long as the process
        surroundings = {name: os.environ[name] for name in FROM_ENVIRONMENT if name in os.environ}
        given = (theirs, self._options, self._identity, os.getcwd(), surroundings, self._log.name)
        self._process = context.Process(target=_serve, args=given)
        try:
            self._process.start()
        except OSError as error:
            self._process = None
            raise UserError(f"no process could be started to measure in ({error}); give --in-process") from error
        theirs.close()

    def _send(self, message: object) -> None:
        try:
            self._ours.send(message)
        except OSError as error:
            raise self._ended() from error

    def _received(self) -> object:
        """Wait, blocked and not spinning, for what the process says."""
        limit_s = self._doing.limit_s
        try:
            if not self._ours.poll(None if limit_s is None else max(0.0, limit_s) + GRACE_S):
                said = f"took longer than the {self._options.timeout_s:g} s that --case-timeout allows"
                raise self._over(Failure(Outcome.TIMED_OUT, f"{said}, and did not end by itself, {self._while}"))
            return self._ours.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    @property
    def _while(self) -> str:
        return f"while {self._doing.what}"

    def _ended(self) -> CaseEndedError:
        assert self._process is not None
        self._process.join()
        status = self._process.exitcode or 0
        how = f"the process was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        memory = " (out of memory, perhaps)" if status == -signal.SIGKILL else ""
        if status >= 0:
            how = f"the recommender ended its process with status {status}"
        return self._over(Failure(Outcome.CRASHED, f"{how}{memory} {self._while}{self._last_words()}"))

    def _last_words(self) -> str:
        """Return the last line that the process printed, such as an assertion of a library."""
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip() and not line.startswith("note: ")]
        return f": {said[-1][:LAST_LETTERS]}" if said else ""

    def _over(self, why: Failure) -> CaseEndedError:
        case = self._doing.case
        self.close()
        return CaseEndedError(case, why)


def _serve(
    wire: Connection, options: RunOptions, identity: object, folder: str, surroundings: dict[str, str], log: str
) -> None:
    """Measure what is asked for until nobody asks any more."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks; what is raised here is a recommender's
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.update(surroundings)
    with suppress(OSError):  # where memory runs out, this process is to end and not the one that keeps the results
        Path("/proc/self/oom_score_adj").write_text("1000")

    @contextmanager
    def step(case: str, doing: str, limit_s: float | None) -> Iterator[None]:
        wire.send(("begin", Doing(case, doing, limit_s)))
        yield

    def say(line: str) -> None:
        wire.send(("say", line))

    with suppress(EOFError, BrokenPipeError):  # whoever asked is gone
        try:
            planned, runner = _plan(options, identity, say, step)
        except UserError as error:
            wire.send(("refused", str(error)))
            return
        _know_machine(options.device, [planned_case.case for planned_case in planned.values()])
        _limit_memory(options)
        while True:
            asked: dict[str, Any] = wire.recv()
            group = [planned[name] for name in asked["cases"]]
            for record in runner.measure(group, first_turn=asked["first_turn"]):
                wire.send(("record", record.model_dump_json()))
                wire.recv()
            wire.send(("done",))


def _end_with_parent() -> None:
    """Wait, blocked, until whoever asks is gone, and end then: a killed run must not go on beside the next one."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process that another one started"
    parent.join()
    os._exit(1)


def _plan(
    options: RunOptions, identity: object, say: Callable[[str], None], step: Any
) -> tuple[dict[str, Planned], Runner]:
    layout = lay_out(options.job)
    (piece,) = layout.pieces
    planned = {planned_case.case.name: planned_case for group in piece.groups for planned_case in group}
    runner = Runner(options, piece.dataset, Unfinished(identity), say, step=step, caught=BaseException)
    return planned, runner


def _know_machine(device: torch.device, cases: Sequence[Case]) -> None:
    """Measure what the machine can do at best before memory is limited: that takes a gigabyte, of no case's."""
    for dtype, threads in {(case.dtype, case.threads) for case in cases}:
        with suppress(RuntimeError, MemoryError):  # each case says what it lacks
            peaks(device, dtype, threads)


def _limit_memory(options: RunOptions) -> None:
    """Bound what cases may take, where the system can."""
    if options.device.type == "cpu" and options.memory_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = options.memory_bytes if hard == resource.RLIM_INFINITY else min(options.memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def available_bytes() -> int | None:
    """Return nine tenths of what the system can still give to processes; None where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return next((size * 9 // 10 for size in sizes), None)
