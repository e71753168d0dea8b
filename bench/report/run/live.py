"""Figures of cases that answer to choices: times, operations and memory as bars, phases as shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.records.cost import Flops, Memory
from bench.records.phases import KINDS, seconds_by_kind
from bench.records.record import Record
from bench.report.drawing.lines import MARK
from bench.report.drawing.live import SCHEMA, Live
from bench.report.drawing.palette import look_of
from bench.report.reading.facets import FACETS, facets_of
from bench.report.reading.families import Family
from bench.report.reading.labels import case_labels, mebibytes, milliseconds, operations
from bench.report.reading.ratios import latency_of

MIDDLE = 0.5
SHARES = np.linspace(0, 1, 21)
"""Quantiles that a distribution is drawn through."""

Y: dict[str, Any] = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 300}}
KIND: dict[str, Any] = {
    "field": "kind",
    "type": "nominal",
    "scale": {"domain": [family.value for family in Family]},
    "legend": None,
}


def live_latency(records: Sequence[Record]) -> Live:
    """Draw medians with the middle 90 % of the rounds, one row a case."""
    rows = []
    for row, record in chosen_rows(records):
        samples = 1e3 * np.array(latency_of(record).samples_s)
        low, high = np.percentile(samples, [5, 95])
        time = milliseconds(latency_of(record).p50_s)
        rows.append(
            row | {"value": float(np.median(samples)), "low": float(low), "high": float(high), "told": str(time)}
        )
    x = _x("latency of a request, ms: median, and the middle 90 % of rounds") | {"field": "low"}
    spread = {
        "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45},
        "encoding": {"x": x, "x2": {"field": "high"}, "y": Y, "color": KIND, "tooltip": _tooltip("p50")},
    }
    return Live(_rows_of_cases(spread, _marked(x | {"field": "value"}, "p50")), rows)


def live_distributions(records: Sequence[Record]) -> Live:
    """Draw the share of requests that were answered by then, one line a case, named at its middle."""
    rows = []
    for row, record in chosen_rows(records):
        times = 1e3 * np.quantile(latency_of(record).samples_s, SHARES)
        told = str(milliseconds(latency_of(record).p50_s))
        rows += [
            row
            | {"value": float(time), "share": float(share), "middle": bool(share == MIDDLE), "few": True, "told": told}
            for share, time in zip(SHARES, times, strict=True)
        ]
    x = _x("latency of a request, ms")
    y = {"field": "share", "type": "quantitative", "axis": {"format": "%"}, "title": "share of requests"}
    dash = {"condition": {"test": "datum.hollow", "value": [5, 4]}, "value": [1, 0]}
    lines = {"x": x, "y": y, "color": KIND, "detail": {"field": "name"}, "strokeDash": dash}
    points = {"x": x, "y": y, **MARK, "tooltip": _tooltip("p50")}
    layers = [
        {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": lines},
        {
            "name": "points",
            "transform": [{"filter": "datum.middle"}],
            "mark": {"type": "point", "opacity": 1, "size": 50, "strokeWidth": 1.6, "cursor": "pointer"},
            "encoding": points,
        },
    ]
    return Live({"$schema": SCHEMA, "height": 280, "layer": layers}, rows, labels="points")


def live_cost(records: Sequence[Record]) -> Live:
    """Draw operations a user as bars, one row a case; peak memory is told where one hovers."""
    rows = []
    for row, record in chosen_rows(records):
        if not isinstance(record.flops, Flops) or record.flops.per_user <= 0:
            continue
        held = record.memory.peak_bytes if isinstance(record.memory, Memory) else None
        told = f"{operations(record.flops.per_user)}, {'n/a' if held is None else mebibytes(held)} at the peak"
        rows.append(row | {"value": record.flops.per_user / 1e9, "told": told})
    x = _x("GFLOP a user (log scale)")
    return Live(_rows_of_cases(_marked(x, "value")), rows)


def live_phases(records: Sequence[Record]) -> Live:
    """Draw the shares of a request's time by kind of phase, one row a case."""
    rows = []
    for row, record in chosen_rows(records):
        seconds = seconds_by_kind(record)
        total = sum(seconds.values()) or 1.0
        rows += [
            row | {"phase": kind, "value": 100 * value / total, "told": f"{milliseconds(value)}, {value / total:.0%}"}
            for kind, value in seconds.items()
        ]
    present = list(dict.fromkeys(row["phase"] for row in rows))
    ordered = [kind for kind in KINDS if kind in present]
    kinds = [*ordered, *(kind for kind in present if kind not in ordered)]
    colour = {
        "field": "phase",
        "type": "nominal",
        "scale": {"domain": kinds, "scheme": "tableau20"},
        "legend": {"title": None, "orient": "bottom", "columns": 4},
    }
    x: dict[str, Any] = {
        "field": "value",
        "type": "quantitative",
        "stack": "zero",
        "title": "share of a profiled request's time, %",
    }
    x |= {"scale": {"domain": [0, 100]}}
    tooltip = [{"field": "phase", "title": "phase"}, *_tooltip("time")]
    spec = {
        "$schema": SCHEMA,
        "height": {"step": 24},
        "mark": {"type": "bar", "cursor": "pointer"},
        "encoding": {"x": x, "y": Y, "color": colour, "tooltip": tooltip},
    }
    return Live(spec, rows)


def chosen_rows(records: Sequence[Record]) -> list[tuple[dict[str, Any], Record]]:
    """Return each case with its name within what is chosen, its kind, and what it is chosen by."""
    settings: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        facets = facets_of(record)
        settings.setdefault(tuple(facets.get(name, "") for name in FACETS[:-1]), []).append(record)
    return [
        (facets_of(record) | {"name": label} | look_of(record), record)
        for group in settings.values()
        for label, record in zip(case_labels(group), group, strict=True)
    ]


def _x(title: str) -> dict[str, Any]:
    axis, scale = {"format": "~g", "tickCount": 6}, {"type": "log", "nice": False}
    return {"field": "value", "type": "quantitative", "scale": scale, "title": title, "axis": axis}


def _tooltip(title: str) -> list[dict[str, str]]:
    return [{"field": "name", "title": "case"}, {"field": "told", "title": title}]


def _marked(x: dict[str, Any], told: str) -> dict[str, Any]:
    """Return the layer with a mark a case, which looks as the case does everywhere."""
    mark = {"type": "point", "opacity": 1, "size": 90, "strokeWidth": 1.8, "cursor": "pointer"}
    return {"mark": mark, "encoding": {"x": x, "y": Y, **MARK, "tooltip": _tooltip(told)}}


def _rows_of_cases(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return a figure with one row a case."""
    return {"$schema": SCHEMA, "height": {"step": 24}, "layer": list(layers)}
