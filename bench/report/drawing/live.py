"""Figures that answer to hovering, clicking and choosing: Vega-Lite specifications and the rows that they draw.

Pages carry the library themselves, as the package `vl-convert-python` holds it. What is written in Vega-Lite is
compiled to Vega here, so that they need no compiler.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import vl_convert

from bench.report.drawing.packing import packed_json
from bench.report.reading.families import Family

Rows = Sequence[dict[str, Any]]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
VERSION = "6.4"

BESIDE = ("right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left")
ASKEW = (*BESIDE[4:], *BESIDE[:4])
"""Where the name of a mark may stand, the best place first; on a line it stands above or below."""


@dataclass(frozen=True)
class Live:
    """An interactive figure.

    Attributes:
        spec: Vega-Lite without data; the page adds the rows that are chosen, and its width.
        rows: What is drawn, one dictionary a mark; facets by name say what each is chosen by.
        labels: Name of the layer whose marks are named beside them, by the field `name`; empty where none are.
        anchors: Where a name may stand, the best place first.

    """

    spec: dict[str, Any]
    rows: Rows
    labels: str = ""
    anchors: Sequence[str] = BESIDE


ROWS = "rows"
"""What a specification calls the rows that the page gives it."""

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
"""Colours of the page, which are others on dark paper."""

THEME: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "axis": {
        "labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
        "titleFontWeight": "normal", "labelFontSize": 12, "titleFontSize": 12, "labelLimit": 260,
    },
    "legend": {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "symbolSize": 90, "labelLimit": 300},
    "view": {"stroke": None},
    "text": {"fill": INK},
    "range": {"category": [f"var(--{family.name.lower()})" for family in Family]},
}  # fmt: skip


@cache
def library() -> str:
    """Return Vega as one script; the specifications of pages are compiled already."""
    # The address that the package keeps it under; nothing is fetched.
    kept_as = f"https://cdn.jsdelivr.net/npm/vega@{vl_convert.get_vega_version()}/+esm"
    script = f'import {{ parse, View }} from "{kept_as}"; window.vega = {{ parse, View }};'
    return str(vl_convert.javascript_bundle(script, VERSION))


def compiled(live: Live) -> dict[str, Any]:
    """Compile a figure to Vega without its rows, in the colours of the page; fails where it is none of Vega-Lite."""
    frame = {"width": 400, "autosize": {"type": "fit", "contains": "padding"}, "data": {"name": ROWS}, "config": THEME}
    spec = dict(vl_convert.vegalite_to_vega(live.spec | frame, vl_version=VERSION))
    if live.labels:
        spec["marks"] = [*spec["marks"], _names(f"{live.labels}_marks", live.anchors)]
    return spec


def _names(marks: str, anchors: Sequence[str]) -> dict[str, Any]:
    """Name marks beside them in their colour, where that covers no other mark; Vega finds the places."""
    kinds = {family.value: f"var(--{family.name.lower()})" for family in Family}
    fill = {"signal": f"datum.datum.kind ? {json.dumps(kinds)}[datum.datum.kind] : '{INK}'"}
    named = {"signal": "datum.datum.few ? datum.datum.name : ''"}
    places = {"size": {"signal": "[width, height]"}, "anchor": list(anchors), "offset": [7], "padding": 0}
    return {
        "name": "names",
        "type": "text",
        "from": {"data": marks},
        "interactive": False,
        "encode": {"enter": {"text": named, "fontSize": {"value": 12}, "fill": fill}},
        # An empty name takes a place, too, so those that are shown come first.
        "transform": [{"type": "label", "sort": {"field": "datum.datum.few", "order": "descending"}, **places}],
    }


def embedded(live: Live) -> str:
    """Return what a page carries of a figure, packed."""
    return packed_json({"spec": compiled(live), "rows": list(live.rows)})
