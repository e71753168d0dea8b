"""How the time of a request is shared between kinds of steps, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.records.phases import KINDS, place_of, seconds_by_kind
from bench.records.record import Record
from bench.report.drawing.canvas import legend, rows_of_cases
from bench.report.reading.labels import case_labels, milliseconds

PALETTE = (*sns.color_palette("colorblind"), (0.2, 0.2, 0.2))
COLOURS = (7, 0, 9, 1, 8, 2, 4, 6, 3, 5, 10)
"""Places in the palette of `KINDS`; unknown ones start over."""


def draw_phases(records: Sequence[Record]) -> Figure:
    """Draw the shares of a request's time by kind of phase, one row a case."""
    figure, (axis,) = rows_of_cases(records)
    rows = [seconds_by_kind(record) for record in records]
    kinds = sorted(dict.fromkeys(kind for row in rows for kind in row), key=place_of)
    colours = _colours(kinds)
    for place, seconds in enumerate(rows):
        total = sum(seconds.values()) or 1.0
        start = 0.0
        for kind, value in seconds.items():
            share = 100 * value / total
            axis.barh(place, share, left=start, height=0.62, color=colours[kind], edgecolor="white", linewidth=0.6)
            start += share
        axis.text(101, place, milliseconds(total) if seconds else "n/a", va="center", fontsize=8)
    axis.set_xlim(0, 114)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("share of the marked time of one profiled request, % (right: that time)")
    legend(figure, [Patch(color=colours[kind]) for kind in kinds], kinds)
    return figure


def seconds(records: Sequence[Record]) -> pd.DataFrame:
    """Return the data behind the figure: seconds by case and kind."""
    rows = [
        {"case": label, "kind": kind, "seconds_under_profiler": value}
        for label, record in zip(case_labels(records), records, strict=True)
        for kind, value in seconds_by_kind(record).items()
    ]
    return pd.DataFrame(rows, columns=["case", "kind", "seconds_under_profiler"])


def describe_phases(records: Sequence[Record]) -> str:
    """Say in words how the time of each case is shared."""
    shares = map(_shares, case_labels(records), records)
    return f"Shares of the marked time of a request. {'; '.join(shares)}."


def _shares(label: str, record: Record) -> str:
    by_kind = seconds_by_kind(record)
    total = sum(by_kind.values()) or 1.0
    return f"{label}: " + (", ".join(f"{kind} {value / total:.0%}" for kind, value in by_kind.items()) or "n/a")


def _colours(kinds: Sequence[str]) -> dict[str, Any]:
    fixed = dict(zip(KINDS, COLOURS, strict=True))
    others = [kind for kind in kinds if kind not in fixed]
    places = fixed | {kind: COLOURS[row % len(COLOURS)] for row, kind in enumerate(others)}
    return {kind: PALETTE[places[kind]] for kind in kinds}
