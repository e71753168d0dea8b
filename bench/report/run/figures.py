"""Figures from records, each as SVG, as PNG, in words, and as the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from bench.records.cost import Flops
from bench.records.record import Record
from bench.report.drawing.figure import Drawing, drawn
from bench.report.drawing.live import Live
from bench.report.reading.labels import case_labels, groups
from bench.report.reading.ratios import measured
from bench.report.run import bars, distributions, front, phases, roofline
from bench.report.run.live import live_cost, live_distributions, live_latency, live_phases

MOST_ROWS = 40
"""Cases that a figure with a row a case can show."""
MOST_PANELS, MOST_LINES = 8, 20
"""Groups that a figure with a panel a group can show, and cases in each."""


@dataclass(frozen=True)
class Kind:
    """One kind of figure of records.

    Attributes:
        name: Name of its files.
        title: What it shows.
        draw: Makes it.
        text: Says it in words.
        data: Returns what is drawn.
        has: Tells whether a record can be drawn.
        room: Returns those records that there is room for.
        live: The same as an interactive figure, which has room for all; None where there is none.

    """

    name: str
    title: str
    draw: Callable[[Sequence[Record]], Figure]
    text: Callable[[Sequence[Record]], str]
    data: Callable[[Sequence[Record]], pd.DataFrame]
    has: Callable[[Record], bool]
    room: Callable[[Sequence[Record]], list[Record]]
    live: Callable[[Sequence[Record]], Live] | None = None


def _rows(records: Sequence[Record]) -> list[Record]:
    return list(records[:MOST_ROWS])


def _panels(records: Sequence[Record]) -> list[Record]:
    panels = list(groups(records).values())[:MOST_PANELS]
    return [record for group in panels for record in group[:MOST_LINES]]


def _always(_: Record) -> bool:
    return True


def _with_phases(record: Record) -> bool:
    return isinstance(record.phases, list)


def _with_flops(record: Record) -> bool:
    return isinstance(record.flops, Flops)


KINDS = (
    Kind(
        name="quality_latency",
        title="Quality against latency (line: nothing is both faster and better)",
        draw=front.draw_front,
        text=front.describe_front,
        data=front.points,
        has=front.has_quality,
        room=_panels,
    ),
    Kind(
        name="distribution",
        title="How latencies are distributed",
        draw=distributions.draw_distributions,
        text=distributions.describe_distributions,
        data=distributions.quantiles,
        has=_always,
        room=_panels,
        live=live_distributions,
    ),
    Kind(
        name="latency",
        title="Latency by case",
        draw=bars.draw_latency,
        text=bars.describe_latency,
        data=distributions.quantiles,
        has=_always,
        room=_rows,
        live=live_latency,
    ),
    Kind(
        name="phases",
        title="Where the time of a request goes",
        draw=phases.draw_phases,
        text=phases.describe_phases,
        data=phases.seconds,
        has=_with_phases,
        room=_rows,
        live=live_phases,
    ),
    Kind(
        name="cost",
        title="Operations and memory by case",
        draw=bars.draw_cost,
        text=bars.describe_cost,
        data=bars.costs,
        has=_with_flops,
        room=_rows,
        live=live_cost,
    ),
    Kind(
        name="roofline",
        title="How near requests come to what the machine can do",
        draw=roofline.draw_roofline,
        text=roofline.describe,
        data=roofline.points,
        has=roofline.has_roofline,
        room=_panels,
        live=roofline.live_roofline,
    ),
)


def draw_all(records: Sequence[Record]) -> dict[str, Drawing]:
    """Draw every figure that has something to show, by name; the same records give the same bytes."""
    shown = measured(records)
    labels = case_labels(records) if records else []
    drawings = {}
    for kind in KINDS:
        able = [record for record in shown if kind.has(record)]
        if not able:
            continue
        fitting = kind.room(able)
        able_ids = set(map(id, able))
        drawings[kind.name] = drawn(
            kind.name,
            kind.title,
            partial(kind.draw, fitting),
            kind.text(fitting),
            kind.data(fitting),
            left_out=[label for label, record in zip(labels, records, strict=True) if id(record) not in able_ids],
            crowded_out=len(able) - len(fitting),
            live=kind.live(able) if kind.live is not None else None,
        )
    return drawings
