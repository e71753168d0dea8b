"""Four charts of services under load: latency, throughput and goodput against the offered rate, and the knee."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.records.load import Trial
from bench.records.record import Record
from bench.report.drawing.canvas import legend, looks_of, panels_of
from bench.report.drawing.figure import Drawing, drawn
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.drawing.palette import look_of
from bench.report.reading.facets import facets_of
from bench.report.reading.labels import significant
from bench.report.reading.naming import caption

MOST_PANELS = 8
HEIGHT_IN = 3.1
MOST_TICKS = 12


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        name: Name of its files.
        title: What it shows.
        across, up: What a trial's place is; None where it has none.
        labels: Labels of both axes.

    """

    name: str
    title: str
    across: Callable[[Trial], float | None]
    up: Callable[[Trial], float | None]
    labels: tuple[str, str]

    @property
    def shows_latency(self) -> bool:
        """Whether the limit can be drawn in it."""
        return self.up is p99_ms


def rate(trial: Trial) -> float | None:
    """Return the offered rate."""
    return trial.rate


def achieved(trial: Trial) -> float | None:
    """Return answers a second."""
    return trial.achieved


def goodput(trial: Trial) -> float | None:
    """Return answers a second that kept the limit."""
    return trial.goodput


def p99_ms(trial: Trial) -> float | None:
    """Return the 99th percentile in milliseconds."""
    return None if trial.latency.p99_s is None else 1e3 * trial.latency.p99_s


OFFERED, LATENCY = "offered, users/s", "p99 of latency, ms"

CHARTS = (
    Chart("load_latency", "Latency against the offered rate", rate, p99_ms, (OFFERED, LATENCY)),
    Chart("load_throughput", "Answers a second against the offered rate", rate, achieved, (OFFERED, "answers/s")),
    Chart("load_goodput", "Answers within the limit against the offered rate", rate, goodput, (OFFERED, "within/s")),
    Chart("load_knee", "The knee: latency against answers a second", achieved, p99_ms, ("answers/s", LATENCY)),
)  # fmt: skip


def drawings(groups: Mapping[str, Sequence[Record]]) -> list[Drawing]:
    """Draw the charts that have something to show, one panel a group of services."""
    shown = dict(list(groups.items())[:MOST_PANELS])
    crowded = sum(map(len, groups.values())) - sum(map(len, shown.values()))
    figures = []
    for chart in CHARTS:
        data = points(chart, shown)
        if data.empty:
            continue
        draw, text, answering = partial(_draw, chart, shown), describe(chart, data), live(chart, groups)
        figures.append(drawn(chart.name, chart.title, draw, text, data, crowded_out=crowded, live=answering))
    return figures


def live(chart: Chart, groups: Mapping[str, Sequence[Record]]) -> Live:
    """Draw a chart of the chosen services: a line each, named at its end; dashed, the limit or what was offered."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, group in groups.items():
        alike.setdefault(tuple(sorted(map(str, _chosen(group[0]).items()))), []).append(name)
    rows: list[dict[str, Any]] = []
    for name, group in groups.items():
        several = any(name in names and len(names) > 1 for names in alike.values())
        drawn_rows = [row for record in group for row in _live_line(chart, record, name if several else "")]
        rows += drawn_rows
        if drawn_rows:
            rows += _guide(chart, group[0], [row["x"] for row in drawn_rows])
    across, up = (f"{label} (log scale)" for label in chart.labels)
    return lines(rows, Along(across, log=True), Along(up, log=True))


def _chosen(record: Record) -> dict[str, str]:
    """Return what a service is chosen by: not by a batch, since services make their own, nor by one decoder."""
    return {name: value for name, value in facets_of(record).items() if name not in {"batch", "decoder"}}


def _live_line(chart: Chart, record: Record, group: str) -> list[dict[str, Any]]:
    places = _line(chart, record)
    decoder = {"decoder": record.case.decoder} if record.case.decoder else {}
    row = _chosen(record) | decoder | look_of(record) | {"line": True, "marked": True}
    row |= {"name": f"{caption(record)}, {group}" if group else caption(record)}
    return [
        row
        | {"x": across, "y": up, "few": number == len(places)}
        | {"told": f"{significant(up)} {chart.labels[1]} at {significant(across)} {chart.labels[0]}"}
        for number, (across, up) in enumerate(places, 1)
    ]


def _guide(chart: Chart, record: Record, reached: Sequence[float]) -> list[dict[str, Any]]:
    """Return a dashed line: the limit that services are to keep, or where all that is offered is answered."""
    assert record.case.load is not None
    limit = record.case.load.slo.limit_ms
    name = f"limit: {limit:g} ms" if chart.shows_latency else "all that is offered"
    row = _chosen(record) | {"name": name, "backdrop": True, "line": True, "dashed": True}
    return [row | {"x": end, "y": limit if chart.shows_latency else end} for end in (min(reached), max(reached))]


def points(chart: Chart, groups: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """Return what a chart draws, a row a trial."""
    rows = [
        {"group": name, "recommender": caption(record), chart.labels[0]: place[0], chart.labels[1]: place[1]}
        for name, group in groups.items()
        for record in group
        for place in _line(chart, record)
    ]
    return pd.DataFrame(rows)


def describe(chart: Chart, data: pd.DataFrame) -> str:
    """Say in words where each line begins and ends."""
    parts = []
    for (_, name), line in data.groupby(["group", "recommender"], sort=False):
        (first, low), (last, high) = line[list(chart.labels)].iloc[[0, -1]].to_numpy().tolist()
        ends = f"{significant(low)} at {significant(first)}", f"{significant(high)} at {significant(last)}"
        parts.append(f"{name}: {ends[0]} to {ends[1]}")
    return f"{chart.labels[1]} against {chart.labels[0]}. {'; '.join(parts)}."


def _line(chart: Chart, record: Record) -> list[tuple[float, float]]:
    trials = [] if record.load is None else record.load.trials
    places = [(chart.across(trial), chart.up(trial)) for trial in trials if trial.rate is not None]
    return [(across, up) for across, up in places if across is not None and up is not None]


def _draw(chart: Chart, groups: Mapping[str, Sequence[Record]]) -> Figure:
    figure, panels = panels_of(list(groups), HEIGHT_IN)
    looks = looks_of([record for group in groups.values() for record in group])
    for name, axis in panels.items():
        for record in groups[name]:
            line = _line(chart, record)
            if line:
                axis.plot(*zip(*line, strict=True), **looks[caption(record)].marks, markersize=4)
        _finish(chart, axis, groups[name])
    handles = [Line2D([], [], **look.marks) for look in looks.values()]
    legend(figure, handles, list(looks))
    return figure


def _finish(chart: Chart, axis: Axes, group: Sequence[Record]) -> None:
    axis.set_xlabel(chart.labels[0])
    axis.set_ylabel(chart.labels[1])
    for scale, line in ((axis.set_xscale, axis.xaxis), (axis.set_yscale, axis.yaxis)):
        scale("log")  # services differ by orders of magnitude
        line.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=MOST_TICKS))
        line.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        line.set_minor_formatter(FuncFormatter(lambda *_: ""))
    if not chart.shows_latency:  # where all that is offered is answered
        low, high = axis.get_xlim()
        axis.plot([low, high], [low, high], color="#999999", linewidth=0.8, linestyle=":", zorder=0)
        axis.set_xlim(low, high)
    limits = {record.case.load.slo.limit_ms for record in group if record.case.load is not None}
    for limit in limits if chart.shows_latency else ():
        axis.axhline(limit, color="#555555", linewidth=1, linestyle="--", zorder=0)
