"""What all figures share: the canvas, colours, legends and axes."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.records.record import Record
from bench.report.drawing.palette import Look, looks
from bench.report.reading.labels import case_labels
from bench.report.reading.naming import Told, caption

STYLE = Path(__file__).with_name("report.mplstyle")
WIDTH_IN = 8.0
ROW_IN = 0.34
LEGEND_ROW_IN = 0.2
LETTER_IN = 0.068
"""Mean width of a letter of a legend or a label."""
LABEL_LETTERS, LEGEND_LETTERS, TITLE_LETTERS = 56, 90, 44
"""Where long names are broken."""


def _without_layout() -> AbstractContextManager[None]:
    """Keep matplotlib from giving a figure without a layout that of our style."""
    return mpl.rc_context({"figure.constrained_layout.use": False})


def lay_out(figure: Figure) -> None:
    """Lay a figure out once and for all: saving would do so for each format, and draw everything twice for it."""
    figure.draw_without_rendering()
    with _without_layout():
        figure.set_layout_engine(None)


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as ``svg`` or ``png``; the same figure gives the same bytes."""
    target = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with _without_layout():  # or saving would give it a layout again
        figure.savefig(target, format=kind, metadata=metadata)
    return PLACES.sub(_shortened, target.getvalue()) if kind == "svg" else target.getvalue()


PLACES = re.compile(rb' (?:d|x|y)="[^"]*"')
"""Attributes that say where something is drawn."""


def _shortened(place: re.Match[bytes]) -> bytes:
    """Keep hundredths of a point, which nobody sees, and leave out the rest, which weighs half of a figure."""
    return re.sub(rb"(\.\d\d)\d+", rb"\1", place[0])


def looks_of(records: Sequence[Told]) -> dict[str, Look]:
    """Give each caption the colour of its kind and the mark of its decoder, the same in all figures."""
    return looks([(caption(record), record) for record in records])


def _legend_columns(names: Sequence[str]) -> int:
    """Return how many columns of these names fit beside each other."""
    return max(1, min(5, len(names), int(WIDTH_IN / (0.5 + LETTER_IN * max(map(len, names))))))


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Put a legend below the axes, and make the figure taller by its height."""
    names = [textwrap.fill(name, LEGEND_LETTERS) for name in names]
    columns = _legend_columns(names)
    lines = sum(name.count("\n") for name in names)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LEGEND_ROW_IN * (lines - (-len(names) // columns)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def panels_of(names: Sequence[str], height_in: float) -> tuple[Figure, dict[str, Axes]]:
    """Make a figure with one titled panel a name, at most two beside each other."""
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH_IN, height_in * rows + 0.2), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    panels = dict(zip(names, axes.flat, strict=False))
    for name, axis in panels.items():
        axis.set_title(textwrap.fill(name, TITLE_LETTERS))
    return figure, panels


def two_lines(name: str) -> str:
    """Break a group's name behind its dataset."""
    head, _, tail = name.partition(", ")
    return "\n".join(textwrap.fill(part, TITLE_LETTERS) for part in (head, tail))


def log_milliseconds(axis: Axes) -> None:
    """Make the horizontal axis one of milliseconds on a log scale."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(10, subs=(1.0,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    low, high = axis.get_xlim()
    if high / low < 30:  # noqa: PLR2004 - less than one and a half decades shows too few ticks
        axis.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def rows_of_cases(records: Sequence[Record], panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure with one horizontal row a case, first case on top; long labels make it wider."""
    return rows_of(case_labels(records), panels)


def rows_of(names: Sequence[str], panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure with one horizontal row a name, first name on top; long names make it wider."""
    labels = [textwrap.fill(name, LABEL_LETTERS) for name in names]
    longest = max(len(line) for label in labels for line in label.splitlines())
    lines = max(label.count("\n") + 1 for label in labels)
    row_in = max(ROW_IN, 0.16 * lines)
    size = (max(WIDTH_IN, 4.8 + LETTER_IN * longest), row_in * len(names) + 1.0)
    figure, axes = plt.subplots(1, panels, figsize=size, squeeze=False, sharey=True)
    first = axes[0, 0]
    first.set_yticks(range(len(names)), labels)
    first.set_ylim(len(names) - 0.5, -0.5)
    for axis in axes.flat:
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    return figure, list(axes.flat)
