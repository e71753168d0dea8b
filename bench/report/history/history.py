"""All stored runs of each case on each machine, in order of time, and where its latency changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.records.record import Record
from bench.records.store import Run
from bench.report.comparing.comparison import MARGIN, ChangeVerdict, Past, run_ratio, timed, verdict
from bench.report.comparing.matching import Value, case_key
from bench.report.comparing.sources import file_names, machine_key, machine_title
from bench.report.reading.labels import case_labels
from bench.statistics.between_runs import OneRunEach
from bench.statistics.latency import Median, Ratio, latency_median
from models.errors import UserError

CHANGES = (ChangeVerdict.SLOWER, ChangeVerdict.FASTER)
"""What counts as a change."""

Stored = tuple[tuple[str, str], Record]
"""A record under the start of its run and the name of its file."""


@dataclass(frozen=True)
class Point:
    """One case in one run.

    Attributes:
        run: When its run began, ISO 8601, and the name of the results file.
        record: What it holds.
        median: Median of its latency; None where it was not measured.
        before: The last run before it that has times; None for the first.
        ratio: Ratio of its median to that of `before`.
        verdict: What it comes to; None for the first.

    """

    run: tuple[str, str]
    record: Record
    median: Median | None
    before: Record | None
    ratio: Ratio | OneRunEach | None
    verdict: ChangeVerdict | None

    @property
    def changed(self) -> bool:
        """Whether its latency differs from the run before by more than the margin."""
        return self.verdict in CHANGES


@dataclass(frozen=True)
class CaseLine:
    """All runs of one case on one machine.

    Attributes:
        name: The case, as it is told from the others of its machine.
        points: In order of time.

    """

    name: str
    points: tuple[Point, ...]

    @property
    def measured(self) -> list[Point]:
        """The points that have times."""
        return [point for point in self.points if point.median is not None]


@dataclass(frozen=True)
class Machine:
    """What was measured on one machine.

    Attributes:
        name: Its name.
        lines: One a case.

    """

    name: str
    lines: tuple[CaseLine, ...]

    @property
    def points(self) -> list[Point]:
        """All points of all lines."""
        return [point for line in self.lines for point in line.points]


def history(runs: Sequence[Run], *, margin: float = MARGIN) -> list[Machine]:
    """Put the runs of each case in order, machine by machine; a record that two files hold counts once.

    Args:
        runs: All that are stored, in any order.
        margin: Share by which latency may differ from the run before and still be the same.

    Raises:
        UserError: There is no run.

    """
    by_machine: dict[tuple[str, ...], dict[frozenset[tuple[str, Value]], list[Stored]]] = {}
    seen: set[str] = set()
    for stored in _in_order(runs):
        record = stored[1]
        text = record.model_dump_json()
        if text not in seen:
            by_machine.setdefault(machine_key(record), {}).setdefault(case_key(record.case), []).append(stored)
        seen.add(text)
    if not by_machine:
        raise UserError("no stored runs: run pytest bench/ --benchmark-only first")
    return [
        Machine(machine_title(key, by_machine), _lines(list(cases.values()), margin))
        for key, cases in sorted(by_machine.items(), key=lambda item: item[0])
    ]


def _in_order(runs: Sequence[Run]) -> list[Stored]:
    stored: list[Stored] = []
    for name, run in zip(file_names([run.path for run in runs]), runs, strict=True):
        began = min((record.provenance.started for record in run.records), key=moment)
        stored += [((began, name), record) for record in run.records]
    return sorted(stored, key=lambda entry: (moment(entry[0][0]), entry[0][1], moment(entry[1].provenance.started)))


def moment(started: str) -> tuple[int, float, str]:
    """Return what orders times: those that are no ISO 8601 come last, in order of their letters."""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return (1, 0.0, started)
    return (0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(), "")


def _lines(cases: Sequence[Sequence[Stored]], margin: float) -> tuple[CaseLine, ...]:
    names = case_labels([records[-1][1] for records in cases])
    return tuple(CaseLine(name, _points(records, margin)) for name, records in zip(names, cases, strict=True))


def runs_of(machine: Machine) -> list[tuple[str, str]]:
    """Return the runs of a machine in order of time: when each began, and the name of its file."""
    return sorted({point.run for point in machine.points}, key=lambda run: (moment(run[0]), run[1]))


def _points(records: Sequence[Stored], margin: float) -> tuple[Point, ...]:
    points: list[Point] = []
    past = Past(record for _, record in records)
    before: Record | None = None
    for run, record in records:
        latency = timed(record)
        ratio = None if before is None else run_ratio(record, before, past)
        told = None if before is None else verdict(ratio, record, before, margin=margin)
        median = None if latency is None else latency_median(latency)
        points.append(Point(run, record, median, before, ratio, told))
        before = record if latency is not None else before
    return tuple(points)


def summary(machine: Machine, margin: float) -> str:
    """Say how many runs of how many cases there are, and how many changes."""
    runs = len(runs_of(machine))
    counts = Counter(point.verdict for point in machine.points)
    compared = sum(counts[kind] for kind in ChangeVerdict if kind is not ChangeVerdict.NOT_MEASURED)
    cases = f"{len(machine.lines)} case{'s' if len(machine.lines) > 1 else ''}"
    text = f"{machine.name}: {cases}, in {runs} run{'s' if runs > 1 else ''}."
    if not compared:
        return f"{text} No case was measured twice, so there is nothing to compare."
    told = ", ".join(
        f"{counts[kind]} {kind.value}"
        for kind in (*CHANGES, ChangeVerdict.SAME, ChangeVerdict.UNCLEAR, ChangeVerdict.ONE_RUN_EACH)
    )
    steps = "1 step" if compared == 1 else f"{compared} steps"
    return f"{text} Of {steps} from one run of a case to its next, at a margin of {margin * 100:g} %: {told}."
