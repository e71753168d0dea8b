"""Quality against latency as an interactive figure of the rows that are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.quality import Quality
from bench.report.drawing.live import SCHEMA, Live
from bench.report.drawing.palette import look_of
from bench.report.reading.families import Family
from bench.report.reading.labels import milliseconds
from bench.report.reading.ratios import latency_of, metric
from bench.report.run.first_rows import QUALITY, FirstRow

RUNNING_BEST: list[dict[str, Any]] = [
    {"filter": "!datum.caution"},
    {"window": [{"op": "max", "field": "quality", "as": "best"}], "sort": [{"field": "ms"}], "frame": [None, 0]},
    {"filter": "datum.quality >= datum.best"},
]
"""Keeps what nothing is both faster and better than."""


def scatter(rows: Sequence[FirstRow]) -> Live | None:
    """Draw quality against latency, the kinds as colours, decoders as marks; None where nothing was ranked."""
    points = [_point(row) for row in rows if metric(row.record, QUALITY) is not None]
    if not points:
        return None
    x = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 24},
        "title": "latency of a request, median, ms",
        "axis": {"format": "~g", "tickCount": 5, "grid": False},
    }
    y = {"field": "quality", "type": "quantitative", "title": QUALITY, "axis": {"tickCount": 5}}
    y["scale"] = {"padding": 10}  # room for a name above the best mark
    kinds = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": [family.value for family in Family]},
        "legend": {
            "title": None,
            "orient": "bottom",
            "columns": 2,
            "values": _kinds(rows),
            "symbolType": "circle",
            "symbolStrokeWidth": 5,
        },
    }
    spec = {
        "$schema": SCHEMA,
        "height": 340,
        "layer": [
            {
                "transform": RUNNING_BEST,
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1, "color": "#8d95a3"},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1.2},
                "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": kinds},
            },
            {
                "name": "points",
                "mark": {"type": "point", "filled": True, "size": 95, "strokeWidth": 1.8, "cursor": "pointer"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "fill": kinds | {"legend": None},
                    "stroke": kinds | {"legend": None},
                    "fillOpacity": {"condition": {"test": "datum.hollow", "value": 0}, "value": 1},
                    "shape": {"field": "shape", "type": "nominal", "scale": None},
                    "tooltip": [
                        {"field": "name", "title": "recommender"},
                        {"field": "said", "title": "served by"},
                        {"field": "quality", "title": QUALITY, "format": ".4f"},
                        {"field": "time", "title": "latency, p50"},
                    ],
                },
            },
        ],
    }
    return Live(spec, points, labels="points")


def _kinds(rows: Sequence[FirstRow]) -> list[str]:
    families = {row.family for row in rows}
    return [family.value for family in Family if family in families]


def _point(row: FirstRow) -> dict[str, Any]:
    record = row.record
    assert isinstance(record.quality, Quality)
    quality, seconds = record.quality.metrics[QUALITY], latency_of(record).p50_s
    return row.facets | {
        "name": row.name,
        "said": row.said or "one pass",
        "under": list(row.under),
        "few": row.few,
        "quality": quality.value,
        "low": quality.low,
        "high": quality.high,
        "ms": 1e3 * seconds,
        "time": str(milliseconds(seconds)),
        **look_of(record),
        "caution": bool(record.labels),
    }
