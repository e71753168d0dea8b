"""A figure a machine: the latency of each case over its runs, one small panel a case."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import astuple
from functools import partial
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.report.comparing.comparison import ChangeVerdict
from bench.report.comparing.figures import BLUE, GREY, ORANGE, colour_of
from bench.report.comparing.sources import commit_name
from bench.report.drawing.canvas import WIDTH_IN, legend
from bench.report.drawing.figure import Drawing, drawn
from bench.report.history.history import CaseLine, Machine, Point, runs_of
from bench.report.reading.labels import milliseconds, significant

PANELS, RUNS = 30, 24
"""Cases and runs that a figure shows at most: those with the most runs, and the last runs."""

ACROSS = 3
"""Panels beside each other."""
PANEL_IN, TITLE_IN, TICKS_IN = 1.15, 0.13, 1.3
"""Height of a panel, of a line of its title, and of the times below."""
TITLE_LETTERS = 36
LEAST_SPAN = 0.15
"""Share around the middle that an axis shows at least, so that noise does not fill it."""

STEADY = "no clear change since the run before"
DIRTY = "uncommitted changes"
LOOKS: dict[str, tuple[int, str]] = {
    STEADY: (GREY, "o"),
    "faster than the run before": (BLUE, "v"),
    "slower than the run before": (ORANGE, "^"),
}
"""Colour and marker of each point."""
WORDS = {ChangeVerdict.FASTER: "faster than the run before", ChangeVerdict.SLOWER: "slower than the run before"}

Runs = Sequence[tuple[str, str]]


def draw(machines: Sequence[Machine]) -> list[Drawing]:
    """Draw each machine that has times; the same runs give the same bytes."""
    drawings = []
    for number, machine in enumerate(machines, start=1):
        lines = [line for line in machine.lines if line.measured]
        if not lines:
            continue
        longest = sorted(lines, key=lambda line: -len(line.measured))[:PANELS]
        shown = [line for line in lines if line in longest]
        runs = runs_of(machine)
        left = [line.name for line in machine.lines if line not in shown]
        left += [f"the first {len(runs) - RUNS} of {len(runs)} runs"] if len(runs) > RUNS else []
        text = "Median latency, first and last. " + "; ".join(map(_told, shown)) + "."
        title = f"Latency over runs, {machine.name}"
        draw = partial(_draw, shown, runs[-RUNS:])
        drawings.append(drawn(f"history-{number}", title, draw, text, _data(shown), left_out=left))
    return drawings


def _data(lines: Sequence[CaseLine]) -> pd.DataFrame:
    """Return the numbers behind a figure, one row a point, seconds."""
    rows = [
        (line.name, point.run[0], commit_name(point.record.provenance), *astuple(point.median), point.verdict)
        for line in lines
        for point in line.points
        if point.median is not None
    ]
    return pd.DataFrame(rows, columns=["case", "run_started", "commit", "p50_s", "p50_low_s", "p50_high_s", "verdict"])


def _told(line: CaseLine) -> str:
    first, *_, last = [*line.measured, line.measured[-1]]
    assert first.median is not None
    assert last.median is not None
    return f"{line.name}: {milliseconds(first.median.value_s)}, {milliseconds(last.median.value_s)}"


def _draw(lines: Sequence[CaseLine], runs: Runs) -> Figure:
    across = min(ACROSS, len(lines))
    down = -(-len(lines) // across)
    titles = [textwrap.fill(line.name, TITLE_LETTERS) for line in lines]
    tall = PANEL_IN + TITLE_IN * max(title.count("\n") + 1 for title in titles)
    figure, axes = plt.subplots(
        down, across, figsize=(WIDTH_IN, tall * down + TICKS_IN), squeeze=False, sharex=True, sharey=False
    )
    for axis in axes.flat[len(lines) :]:  # empty, but it bears the times of the panels above
        axis.set_frame_on(False)
        axis.grid(visible=False)
        axis.tick_params(left=False, labelleft=False)
    columns = {run: column for column, run in enumerate(runs)}
    for axis in axes[-1]:
        axis.set_xticks(range(len(runs)), _ticks(lines, runs), rotation=90, fontsize=7, family="DejaVu Sans Mono")
        axis.set_xlim(-0.6, len(runs) - 0.4)
    for axis, line, title in zip(axes.flat, lines, titles, strict=False):
        axis.set_title(title, fontsize=7.5)
        points = [point for point in line.measured if point.run in columns]
        _draw_line(axis, points, [columns[point.run] for point in points])
        axis.tick_params(axis="y", labelsize=7.5)
    figure.supylabel("median latency of a request, ms (bar: 95 % interval)", fontsize=8.5)
    _legend(figure, [point for line in lines for point in line.measured if point.run in columns])
    return figure


def _draw_line(axis: Axes, points: Sequence[Point], columns: Sequence[int]) -> None:
    middles, ends = [], []
    for column, point in zip(columns, points, strict=True):
        assert point.median is not None
        low, middle, high = (value * 1e3 for value in (point.median.low_s, point.median.value_s, point.median.high_s))
        place, marker = LOOKS[_look(point)]
        face = "white" if point.record.provenance.dirty else colour_of(place)
        axis.errorbar(
            column,
            middle,
            yerr=[[middle - low], [high - middle]],
            fmt=marker,
            color=colour_of(place),
            markerfacecolor=face,
            markersize=5,
            capsize=2,
            zorder=3,
        )
        middles.append(middle)
        ends += [low, high]
    axis.plot(columns, middles, color="#b0b0b0", linewidth=1, zorder=2)
    if ends:
        middle = (min(ends) + max(ends)) / 2
        reach = max(1.25 * (max(ends) - min(ends)) / 2, LEAST_SPAN * middle)
        axis.set_ylim(max(middle - reach, 0), middle + reach)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value)))


def _look(point: Point) -> str:
    return WORDS.get(point.verdict, STEADY) if point.verdict is not None else STEADY


def _ticks(lines: Sequence[CaseLine], runs: Runs) -> list[str]:
    """Label each run by its time, to the minute, and by its commits."""
    commits: dict[tuple[str, str], dict[str, None]] = {}
    for line in lines:
        for point in line.points:
            commits.setdefault(point.run, {})[commit_name(point.record.provenance)] = None
    return [f"{run[0][:16].replace('T', ' ')} {'/'.join(commits.get(run, {}))}" for run in runs]


def _legend(figure: Figure, points: Sequence[Point]) -> None:
    looks = {_look(point) for point in points}
    words = [word for word in LOOKS if word in looks]
    handles: list[Any] = [
        Line2D([], [], color=colour_of(LOOKS[word][0]), marker=LOOKS[word][1], linestyle="") for word in words
    ]
    if any(point.record.provenance.dirty for point in points):
        words.append(DIRTY)
        handles.append(Line2D([], [], color=colour_of(GREY), marker="o", markerfacecolor="white", linestyle=""))
    legend(figure, handles, words)
