"""Templates and what they need: tables as HTML and Markdown, figures inside the page, its scripts and styles."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.drawing import live
from bench.report.drawing.figure import Drawing
from bench.report.drawing.palette import as_css, on_both
from bench.report.drawing.section import Titled
from bench.report.reading.facets import Chosen
from bench.report.reading.labels import Quantity

SPECIAL = re.compile(r"\[[+\-\d., ]+\](?![(\[:])|[\\`*_~$|\[\]]")
"""Intervals, which stay as they are, and what Markdown reads as markup; HTML's characters are escaped apart."""

MISSING = ""
"""What a quantity that was not measured is sorted by: it comes last either way."""

ASSETS = resources.files("bench.report.drawing") / "assets"


def environment(*, html: bool) -> Environment:
    """Return an environment with our templates and filters."""
    made = Environment(
        loader=PackageLoader("bench.report.drawing"),
        autoescape=html,  # noqa: S701 - Markdown has an escape of its own, `md_text`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"html_table": _html_table, "md_table": _md_table, "inline_svg": _inline_svg, "md": md_text}
    made.filters |= {"md_code": _md_code, "embedded": embedded}
    made.globals |= {"asset": _asset, "library": _library, "figures_library": live.library, "colours": _colours}
    return made


def _html_table(table: pd.DataFrame | Titled) -> Markup:
    """Render a table; every cell is escaped, the first column heads its row, quantities carry what they sort by.

    Rows carry what they are chosen by; columns behind those that are shown first are marked, and scripts unfold them.
    """
    table = table if isinstance(table, Titled) else Titled("", table)
    frame, shown = table.arranged, table.shown
    numeric = [any(isinstance(cell, Quantity) for cell in frame[name]) for name in frame.columns]
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(_head(name, of_numbers=of_numbers, more=place >= shown), name)
        for place, (name, of_numbers) in enumerate(zip(frame.columns, numeric, strict=True))
    )
    data = next((name for name in frame.columns if name in DATASETS), None)
    rows = []
    for row in frame.itertuples(index=False):
        cells = Markup("").join(
            Markup("<td{}>{}</td>").format(_cell(value, of_numbers=of_numbers, more=place >= shown), value)
            for place, (value, of_numbers) in enumerate(zip(row[1:], numeric[1:], strict=True), start=1)
        )
        facets = dict(table.facets) | ({} if data is None else {"dataset": str(row[frame.columns.get_loc(data)])})
        facets |= next((dict(value.facets) for value in row if isinstance(value, Chosen)), {})
        rows.append(Markup('<tr{}><th scope="row">{}</th>{}</tr>').format(_facets(facets), row[0], cells))
    return Markup('<table class="data"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(
        head, Markup("\n").join(rows)
    )


DATASETS = ("data", "dataset")
"""Columns that name a dataset, by which their rows are chosen."""

MORE_IS_BETTER = re.compile(r"(HR|NDCG|MRR)@|coverage|users/s|times as fast|overlap|found|valid")
"""Columns that are sorted with the greatest value first."""


def _facets(facets: Mapping[str, str]) -> Markup:
    return Markup("").join(Markup(' data-{}="{}"').format(name, value) for name, value in facets.items())


def _head(name: str, *, of_numbers: bool, more: bool) -> Markup:
    classes = ["number"] * of_numbers + ["more"] * more + ["high"] * bool(of_numbers and MORE_IS_BETTER.search(name))
    return Markup(' class="{}"').format(" ".join(classes)) if classes else Markup("")


def _cell(value: object, *, of_numbers: bool, more: bool) -> Markup:
    classes = ["number"] * of_numbers + ["more"] * more
    text = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup("")
    return text + (_order(value) if of_numbers else Markup(""))


def _order(value: object) -> Markup:
    order = repr(float(value.value)) if isinstance(value, Quantity) else MISSING
    return Markup(' data-order="{}"').format(order)


def _md_table(frame: pd.DataFrame) -> str:
    """Render a table in GitHub's Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(md_text(str(value)) for value in line) + " |" for line in lines)


def md_text(text: str) -> str:
    """Escape what Markdown or HTML would read as markup, and keep to one line."""
    plain = str(escape(" ".join(text.split()))).replace("&#34;", '"').replace("&#39;", "'")
    return SPECIAL.sub(lambda match: match[0] if len(match[0]) > 1 else f"\\{match[0]}", plain)


def _md_code(text: str) -> str:
    """Quote code; where it could end the quotation, it is escaped instead."""
    return f"<code>{md_text(text)}</code>" if "`" in text else f"`{text}`"


def _inline_svg(drawing: Drawing) -> Markup:
    """Return the SVG element alone, named for screen readers, its internal names made its own."""
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{drawing.name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    label = Markup('<svg role="img" aria-label="{}"').format(f"{drawing.title}. {drawing.text}")
    return label + Markup(on_both(text.removeprefix("<svg")))  # noqa: S704 - matplotlib escapes the texts it draws


def embedded(value: Any) -> Markup:
    """Write JSON inside a script element, which no text in it can end."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - as said


def _colours() -> Markup:
    """Return the colours of kinds as CSS variables."""
    return Markup(as_css())  # noqa: S704 - ours


@cache
def _asset(name: str) -> Markup:
    """Return one of our own styles or scripts."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))  # noqa: S704 - ours


@cache
def _library(name: str) -> Markup:
    """Return a file of DataTables, as the package `itables` carries it: styles as they are, scripts packed."""
    content = (resources.files("itables") / "html" / name).read_bytes()
    text = base64.b64encode(gzip.compress(content, mtime=0)).decode() if name.endswith(".js") else content.decode()
    return Markup(text)  # noqa: S704 - a library's
