"""How latency and memory grow, and how far laws are from that, as figures that follow what readers choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.records.record import Record
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.drawing.palette import look_of
from bench.report.growth.crossings import Crossing, find
from bench.report.growth.laws import FittedLine, Growth, law_text
from bench.report.growth.sweeps import CHOSEN_BY, Samples, Sweep, mebibytes_of, milliseconds_of, titles
from bench.report.reading.facets import facets_of
from bench.report.reading.labels import significant

STEPS = 24
"""Places that a law is drawn through."""

Row = dict[str, Any]


def live_latency(swept: Sequence[Sweep], grown: Sequence[Growth]) -> Live:
    """Draw latency against one quantity: medians with the middle 90 %, and laws or straight lines through them.

    Args:
        swept: Sweeps of the quantity.
        grown: Those of them that have laws.

    """
    named = _names(swept)
    fitted = {(id(growth.sweep), line.name): line for growth in grown for line in growth.lawful if not line.level}
    rows: list[Row] = []
    for sweep in swept:
        for name, line in sweep.lines.items():
            law = fitted.get((id(sweep), name))
            rows += _points(sweep, named[id(sweep)](name), line, milliseconds_of, "ms", lined=law is None)
            rows += [] if law is None else _through(sweep, named[id(sweep)](name), law)
        rows += _level(sweep, named[id(sweep)], milliseconds_of, "ms")
    for crossing in find(grown):
        rows += _crossing(crossing)
    x = Along(f"{swept[0].quantity} (log scale)", log=True)
    return lines(rows, x, Along("latency, ms (log scale; bar: middle 90 %)", log=True))


def live_memory(swept: Sequence[Sweep]) -> Live:
    """Draw what a request adds to memory against one quantity."""
    named = _names(swept)
    rows: list[Row] = []
    for sweep in swept:
        for name, line in sweep.lines.items():
            rows += _points(sweep, named[id(sweep)](name), line, mebibytes_of, "MiB", lined=True)
        rows += _level(sweep, named[id(sweep)], mebibytes_of, "MiB")
    x = Along(f"{swept[0].quantity} (log scale)", log=True)
    return lines(rows, x, Along("memory of a request, MiB (log scale)", log=True))


def live_residuals(grown: Sequence[Growth]) -> Live:
    """Draw how far each measured median is from its law, in percent; bars are 95 % intervals of the median."""
    named = _names([growth.sweep for growth in grown])
    rows: list[Row] = []
    for growth in grown:
        for line in growth.shown:
            look = _chosen(growth.sweep, line.records[0]) | look_of(line.records[0])
            ends = 100 * (np.percentile(line.resampled, [2.5, 97.5], axis=0) / line.law.at(line.x)[0] - 1)
            for x, value, low, high in zip(line.x, 100 * line.residuals, *ends, strict=True):
                row = look | {"name": named[id(growth.sweep)](line.name), "x": float(x), "y": float(value)}
                row |= {"low": float(min(low, value)), "high": float(max(high, value)), "marked": True, "line": True}
                said = f"{value:+.1f} % at {x:,.10g}; law: {line.refused or law_text(line.law)}"
                rows.append(row | {"few": bool(x == line.x[-1]), "told": said})
    x_axis = Along(f"{grown[0].sweep.quantity} (log scale)", log=True)
    return lines(rows, x_axis, Along("measured over law, less 1, % (bar: 95 %)", at=0))


def _chosen(sweep: Sweep, record: Record) -> Row:
    """Return what a mark is chosen by: not by what is swept, of which a figure shows all."""
    return {name: value for name, value in facets_of(record).items() if name != CHOSEN_BY.get(sweep.quantity)}


def _names(swept: Sequence[Sweep]) -> dict[int, Callable[[str], str]]:
    """Return how each sweep calls its lines: sweeps that readers cannot choose between add what tells them apart."""

    def name_of(own: str) -> Callable[[str], str]:
        return lambda name: f"{name}, {own}" if own else name

    alike: dict[tuple[str, ...], list[Sweep]] = {}
    for sweep in swept:
        first = next(iter(sweep.lines.values()))[0][1]
        facets = {name: value for name, value in _chosen(sweep, first).items() if name != "decoder"}
        alike.setdefault(tuple(sorted(map(str, facets.items()))), []).append(sweep)
    return {
        id(sweep): name_of(own) for group in alike.values() for sweep, own in zip(group, titles(group)[0], strict=True)
    }


def _points(
    sweep: Sweep, name: str, line: Sequence[tuple[float, Record]], samples_of: Samples, unit: str, *, lined: bool
) -> list[Row]:
    sampled = [(value, record, samples_of(record)) for value, record in line]
    sampled = [point for point in sampled if point[2].size]
    rows = []
    for value, record, samples in sampled:
        low, middle, high = (float(end) for end in np.percentile(samples, [5, 50, 95]))
        row: Row = _chosen(sweep, record) | look_of(record) | {"name": name, "x": float(value), "y": middle}
        row |= {"marked": True, "line": lined, "few": value == sampled[-1][0]}
        row |= {"low": low, "high": high} if low < high else {}
        rows.append(row | {"told": f"{significant(middle)} {unit} at {value:,.10g}"})
    return rows


def _through(sweep: Sweep, name: str, law: FittedLine) -> list[Row]:
    """Return the line of a law within what was measured."""
    places = np.geomspace(law.x[0], law.x[-1], STEPS)
    row = _chosen(sweep, law.records[0]) | look_of(law.records[0]) | {"name": name, "line": True}
    return [
        row | {"x": float(x), "y": float(1e3 * time)} for x, time in zip(places, law.law.at(places)[0], strict=True)
    ]


def _level(sweep: Sweep, name_of: Callable[[str], str], samples_of: Samples, unit: str) -> list[Row]:
    """Return dashed lines of what the quantity does not touch, named at their ends."""
    values = sorted({value for line in sweep.lines.values() for value, _ in line})
    rows = []
    for name, record in sweep.level.items():
        samples = samples_of(record)
        if not samples.size:
            continue
        row: Row = _chosen(sweep, record) | look_of(record)
        row |= {"name": name_of(name), "y": float(np.median(samples)), "line": True, "dashed": True}
        said = f"{significant(float(np.median(samples)))} {unit}, whatever the {sweep.quantity}"
        rows += [row | {"x": float(values[0])}]
        rows += [row | {"x": float(values[-1]), "marked": True, "few": True, "told": said}]
    return rows


def _crossing(crossing: Crossing) -> list[Row]:
    """Return a soft ring where two laws cross within what was measured."""
    if crossing.at is None or crossing.time_s is None or not crossing.inside:
        return []
    growth = crossing.growth
    first = next(line for line in growth.lines if line.name == crossing.below)
    facets = {name: value for name, value in _chosen(growth.sweep, first.records[0]).items() if name != "decoder"}
    at = significant(crossing.at)
    row = {"name": f"cross at {at}", "x": crossing.at, "y": 1e3 * crossing.time_s, "backdrop": True}
    said = f"{crossing.below} is faster up to {at}, {crossing.beyond} beyond"
    return [facets | row | {"marked": True, "few": True, "hollow": True, "told": said}]
