"""Stored runs as tables: every step of every case, the changes alone, and all values for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.report.comparing.comparison import same_data
from bench.report.comparing.sources import commit_name, differences
from bench.report.history.history import CaseLine, Machine, Point, runs_of
from bench.report.reading.labels import NOT_AVAILABLE, with_interval
from bench.report.reading.values import all_values, ratio_cell
from bench.statistics.latency import Ratio

COLUMNS = ["case", "run", "commit", "p50", "to the run before", "verdict", "what else changed"]


def steps(machine: Machine) -> pd.DataFrame:
    """Return one row a case and run, in order of time within a case."""
    return pd.DataFrame(
        [_step(line, point) for line in machine.lines for point in line.points], columns=COLUMNS, dtype=object
    )


def changes(machine: Machine) -> pd.DataFrame:
    """Return the steps that are slower or faster than the run before, the newest first."""
    changed = [(line, point) for line in machine.lines for point in line.points if point.changed]
    order = {run: place for place, run in enumerate(runs_of(machine))}
    newest = sorted(changed, key=lambda step: -order[step[1].run])
    return pd.DataFrame([_step(line, point) for line, point in newest], columns=COLUMNS, dtype=object)


def last(machine: Machine) -> pd.DataFrame:
    """Return the newest step of each case."""
    return pd.DataFrame([_step(line, line.points[-1]) for line in machine.lines], columns=COLUMNS, dtype=object)


def _step(line: CaseLine, point: Point) -> dict[str, str]:
    record, before = point.record, point.before
    since = "" if before is None else f", since {commit_name(before.provenance)}"
    cells = (
        line.name,
        record.provenance.started,
        commit_name(record.provenance) + since,
        _median(point),
        "first" if point.before is None else ratio_cell(point.ratio),
        point.verdict.value if point.verdict is not None else NOT_AVAILABLE,
        _else(point),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _median(point: Point) -> str:
    """Write a median with its interval; how it ended where it has none."""
    if point.median is None:
        return point.record.outcome.value if point.record.latency is None else NOT_AVAILABLE
    median = point.median
    return with_interval(1e3 * median.value_s, 1e3 * median.low_s, 1e3 * median.high_s, " ms")


def _else(point: Point) -> str:
    """Say what of machine, software and data is not what it was in the run before."""
    if point.before is None:
        return ""
    differing = differences([point.before], [point.record])
    words = [f"{name} {before} → {after}" for name, (before, after) in differing.items()]
    return ", ".join(words if same_data(point.record, point.before) else [*words, "other data"])


def values(machines: Sequence[Machine]) -> pd.DataFrame:
    """Return every scalar of every step, and what it comes to."""
    steps = [(machine, line, point) for machine in machines for line in machine.lines for point in line.points]
    rows = [
        {
            "machine": machine.name,
            "name": line.name,
            "run_started": point.run[0],
            "file": point.run[1],
            "verdict": point.verdict and point.verdict.value,
            "p50_low_s": point.median and point.median.low_s,
            "p50_high_s": point.median and point.median.high_s,
            "ratio_to_run_before": point.ratio and point.ratio.value,
            "ratio_low": point.ratio.low if isinstance(point.ratio, Ratio) else None,
            "ratio_high": point.ratio.high if isinstance(point.ratio, Ratio) else None,
            "commit_before": point.before and point.before.provenance.commit,
        }
        for machine, line, point in steps
    ]
    return pd.concat([pd.DataFrame(rows), all_values([point.record for *_, point in steps])], axis=1)
