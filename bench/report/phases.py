"""The steps of a request by kind: a search's attention is one kind, however many steps it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.report.canvas import legend, rows_of_cases
from bench.report.labels import milliseconds
from bench.results.record import Record

KINDS = (
    "prepare", "encode", "cross K/V", "attention", "feed-forward", "head", "trie + top-k", "trie", "decode steps",
    "compiled search", "rank",
)  # fmt: skip
"""The kinds that have a colour of their own, in the order in which they are drawn."""

COLOURS = (7, 0, 9, 1, 8, 2, 4, 6, 3, 5)
"""Places in the palette of the kinds above; those beyond, and unknown ones, start over."""


def kind_of(phase: str) -> str:
    """Return what a phase is a part of: ``decode step 2: head`` of ``head``, ``decode step 2`` of ``decode steps``."""
    _, colon, part = phase.partition(": ")
    return part if colon else re.sub(r" \d+$", "s", phase)


def seconds_by_kind(record: Record) -> dict[str, float]:
    """Add up a record's phases by kind, in the order of `KINDS`; unknown ones stand before ``rank``."""
    assert isinstance(record.phases, list)
    found: dict[str, float] = {}
    for phase in record.phases:
        kind = kind_of(phase.name)
        found[kind] = found.get(kind, 0.0) + phase.seconds
    return {kind: found[kind] for kind in sorted(found, key=_place)}


def _place(kind: str) -> float:
    return KINDS.index(kind) if kind in KINDS else len(KINDS) - 1.5


def draw_phases(records: Sequence[Record]) -> Figure:
    """Draw the shares of a request's time by kind of phase, one row a case."""
    figure, (axis,) = rows_of_cases(records)
    rows = [seconds_by_kind(record) for record in records]
    kinds = sorted(dict.fromkeys(kind for row in rows for kind in row), key=_place)
    colours = _colours(kinds)
    for place, seconds in enumerate(rows):
        total = sum(seconds.values()) or 1.0
        start = 0.0
        for kind, value in seconds.items():
            share = 100 * value / total
            axis.barh(place, share, left=start, height=0.62, color=colours[kind], edgecolor="white", linewidth=0.6)
            start += share
        axis.text(101, place, milliseconds(total), va="center", fontsize=8)
    axis.set_xlim(0, 114)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("share of the marked time of one profiled request, % (right: that time)")
    legend(figure, [Patch(color=colours[kind]) for kind in kinds], kinds)
    return figure


def _colours(kinds: Sequence[str]) -> dict[str, Any]:
    palette = sns.color_palette("colorblind")
    known = dict(zip(KINDS, COLOURS, strict=False))
    others = [kind for kind in kinds if kind not in known]
    places = known | {kind: COLOURS[row % len(COLOURS)] for row, kind in enumerate(others)}
    return {kind: palette[places[kind]] for kind in kinds}
