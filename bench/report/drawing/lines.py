"""Lines and marks that answer to choices: interactive figures of what is no row a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.report.drawing.live import ASKEW, SCHEMA, SOFT, Live, Rows
from bench.report.reading.families import Family

COLOUR: dict[str, Any] = {
    "condition": {"test": "!datum.kind", "value": SOFT},
    "field": "kind",
    "type": "nominal",
    "scale": {"domain": [family.value for family in Family]},
    "legend": None,
}
DASH = {"condition": {"test": "datum.dashed", "value": [5, 4]}, "value": [1, 0]}
SIZE = {"condition": {"test": "datum.few", "value": 70}, "value": 24}
MARK: dict[str, Any] = {
    "fill": COLOUR,
    "stroke": COLOUR,
    "fillOpacity": {"condition": {"test": "datum.hollow", "value": 0}, "value": 1},
    "shape": {
        "condition": {"test": "!datum.shape", "value": "circle"},
        "field": "shape",
        "scale": None,
        "legend": None,
    },
}
"""How marks of interactive figures look, by what `bench.report.drawing.palette.look_of` says of a case."""


@dataclass(frozen=True)
class Along:
    """One axis: what stands beside it, whether its scale is logarithmic, and where nothing changes."""

    title: str
    log: bool = False
    at: float | None = None

    def encoded(self, field: str) -> dict[str, Any]:
        """Return how a field is placed along it."""
        scale = {"type": "log", "nice": False, "padding": 16} if self.log else {}
        return {"field": field, "type": "quantitative", "scale": scale, "title": self.title, "axis": self._axis(field)}

    def _axis(self, field: str) -> dict[str, Any]:
        # Vega makes room for numbers before it knows the last of them.
        return {"tickCount": 6} | ({"minExtent": 42} if field == "y" else {})


def lines(rows: Rows, x: Along, y: Along) -> Live:
    """Draw lines through rows of one name, and marks with what is known of them.

    Args:
        rows: Each has `name`, `x` and `y`, and the facets it is chosen by; where it is so `line` (on a line), `dashed`,
            `marked` (a mark), `few` (a large mark with its name beside it), what `look_of` says of its case (without
            it a mark is soft), `low` and `high` (its interval along y), `left` and `right` (that along x), `told` (what
            hovering says), and `backdrop` (not worth a figure where it alone is chosen).
        x: The horizontal axis.
        y: The vertical axis.

    """
    placed = {"x": x.encoded("x"), "y": y.encoded("y"), "color": COLOUR}
    rules = [
        {"mark": {"type": "rule", "color": SOFT}, "encoding": {side: {"datum": along.at, "title": along.title}}}
        for side, along in (("x", x), ("y", y))
        if along.at is not None
    ]
    layers = [
        *rules,
        {
            "transform": [{"filter": "datum.line"}],
            "mark": {"type": "line", "strokeWidth": 1.6},
            "encoding": placed | {"detail": {"field": "name"}, "strokeDash": DASH},
        },
        _spread(placed, "y", "low", "high"),
        _spread(placed, "x", "left", "right"),
        {
            "name": "points",
            "transform": [{"filter": "datum.marked"}],
            "mark": {"type": "point", "opacity": 1, "strokeWidth": 1.6, "cursor": "pointer"},
            "encoding": {side: placed[side] for side in "xy"}
            | MARK
            | {"size": SIZE, "tooltip": [{"field": "name"}, {"field": "told", "title": y.title}]},
        },
    ]
    return Live({"$schema": SCHEMA, "height": 300, "layer": layers}, rows, labels="points", anchors=ASKEW)


def _spread(placed: dict[str, Any], side: str, low: str, high: str) -> dict[str, Any]:
    return {
        "transform": [{"filter": f"isValid(datum.{low})"}],
        "mark": {"type": "rule", "strokeWidth": 1.2},
        "encoding": placed | {side: placed[side] | {"field": low}, f"{side}2": {"field": high}},
    }
