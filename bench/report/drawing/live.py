"""Figures that answer to hovering, clicking and choosing: Vega-Lite specifications and the rows that they draw.

Pages carry the library themselves, packed, as the package `vl-convert-python` holds it.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import vl_convert

Rows = Sequence[dict[str, Any]]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
VERSION = "6.4"


@dataclass(frozen=True)
class Live:
    """An interactive figure.

    Attributes:
        spec: Vega-Lite without data; the page adds the rows that are chosen, its colours and its width.
        rows: What is drawn, one dictionary a mark; facets by name say what each is chosen by.
        labels: Name of the layer whose marks are named beside them, by the field `name`; empty where none are.

    """

    spec: dict[str, Any]
    rows: Rows
    labels: str = ""


@cache
def library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, packed with gzip and written in base 64."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VERSION)
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def compiled(live: Live) -> dict[str, Any]:
    """Return the Vega that a specification compiles to; fails where it is none of Vega-Lite."""
    spec = live.spec | {"data": {"values": list(live.rows)}}
    return dict(vl_convert.vegalite_to_vega(spec, vl_version=VERSION))
