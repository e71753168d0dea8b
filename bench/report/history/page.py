"""``python -m bench.report --history``: all stored runs of each case, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.store import Run
from bench.report.comparing import sources as origins
from bench.report.comparing.comparison import MARGIN, VERDICT_TURNS, few_turns, same_data
from bench.report.comparing.words import CAUTION
from bench.report.drawing.writing import write_page
from bench.report.history import figures as history_figures
from bench.report.history import tables as history_tables
from bench.report.history.history import Machine, Point, history, moment, summary

TITLE = "Latency over runs"

ALIKE = "Machines are told apart by processor, cores, memory and GPU: two that are alike in these share a line."


@dataclass(frozen=True)
class HistoryPart:
    """One machine, as a page shows it.

    Attributes:
        name: Name of the machine.
        summary: How many runs, and how many changes.
        changes: Steps that are slower or faster.
        last: The newest step of each case.
        steps: All of them.

    """

    name: str
    summary: str
    changes: pd.DataFrame
    last: pd.DataFrame
    steps: pd.DataFrame


def write_history(runs: Sequence[Run], folder: Path, *, margin: float = MARGIN) -> list[Path]:
    """Put all runs in order, and render where latency changed.

    Args:
        runs: All that are stored, in any order.
        folder: Gets ``index.html``, ``history.md``, ``history.csv`` and ``figures/``.
        margin: Share by which latency may differ from the run before and still count as the same.

    Returns:
        The files written.

    Raises:
        UserError: There is no run.

    """
    machines = history(runs, margin=margin)
    drawings = history_figures.draw(machines)
    content: dict[str, Any] = {
        "title": TITLE,
        "parts": [_part(machine, margin) for machine in machines],
        "drawings": drawings,
        "caution": CAUTION,
        "rule": _rule(margin),
        "cautions": _cautions(machines),
        "sources": origins.table(_named(runs)),
    }
    return write_page(folder, "history", content, history_tables.values(machines), drawings)


def _part(machine: Machine, margin: float) -> HistoryPart:
    tables = (history_tables.changes(machine), history_tables.last(machine), history_tables.steps(machine))
    return HistoryPart(machine.name, summary(machine, margin), *tables)


def _named(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """Name each file, in order of the time that its run ended."""
    ordered = sorted(runs, key=lambda run: (moment(run.taken), str(run.path)))
    return list(zip(origins.file_names([run.path for run in ordered]), ordered, strict=True))


def _rule(margin: float) -> str:
    return (
        f"A change, FASTER or SLOWER, is marked where the whole 95 % interval of the ratio to the run before lies "
        f"beyond {margin * 100:g} %; SAME: all of it lies within; UNCLEAR: neither, or under {VERDICT_TURNS} turns "
        f"were timed; one run each: no other run tells how far equal runs lie apart, so that there "
        f"is no interval. Intervals hold how far equal runs lie apart; {origins.CHANGED} behind a commit: uncommitted "
        "changes."
    )


def _cautions(machines: Sequence[Machine]) -> list[str]:
    """List what weakens the lines, the gravest first."""
    named = [(line.name, point) for machine in machines for line in machine.lines for point in line.points]
    lines = [ALIKE]
    for words, group in (
        ("Other data than in the run before", [(name, point) for name, point in named if _other_data(point)]),
        (f"Fewer than {VERDICT_TURNS} turns", [(name, point) for name, point in named if few_turns(point.record)]),
        ("Unstable by the record's own account", [(name, point) for name, point in named if _unstable(point)]),
        ("Uncommitted changes", [(name, point) for name, point in named if point.record.provenance.dirty]),
    ):
        if group:
            cases = len({name for name, _ in group})
            lines.append(f"{words}: {len(group)} of {len(named)} points, of {cases} case{'s' if cases > 1 else ''}.")
    return lines


def _other_data(point: Point) -> bool:
    return point.before is not None and not same_data(point.record, point.before)


def _unstable(point: Point) -> bool:
    return point.record.conditions is not None and bool(point.record.conditions.unstable)
