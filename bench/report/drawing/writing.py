"""Files of a page: rendered, drawn, and put into a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.ground.outputs import write_folder
from bench.report.drawing.figure import Drawing
from bench.report.drawing.rendering import environment
from bench.report.drawing.spreadsheets import csv_bytes

KINDS = ("svg", "png", "csv")
"""Files of a figure."""

MADE_BY = "bench.report"

COMMENT_LETTERS = 60_000
"""GitHub takes comments of 65,536 characters."""


def page_names(name: str) -> list[str]:
    """Return the files that `write_page` is going to write, but for figures."""
    return ["index.html", f"{name}.md", f"{name}.csv"]


def write_page(
    folder: Path, name: str, content: Mapping[str, Any], values: pd.DataFrame, drawings: Sequence[Drawing]
) -> list[Path]:
    """Write a page, its Markdown for a comment, its values and its figures, each file atomically.

    Args:
        folder: Where to.
        name: Name of the templates, ``NAME.html.j2`` and ``NAME.md.j2``, and of ``NAME.md`` and ``NAME.csv``.
        content: What the templates are filled with; the Markdown's also gets `rows`, of each table at most.
        values: Values of the CSV.
        drawings: The figures.

    Returns:
        The files written.

    """
    content = {**content, "written": {drawing.name: KINDS for drawing in drawings}}
    made = {
        "index.html": environment(html=True).get_template(f"{name}.html.j2").render(content).encode(),
        f"{name}.md": _comment(name, content).encode(),
        f"{name}.csv": csv_bytes(values),
    }
    for drawing in drawings:
        made |= drawing.files(KINDS)
    return write_folder(folder, made, made_by=MADE_BY)


def _comment(name: str, content: Mapping[str, Any]) -> str:
    """Render the Markdown, its tables cut as far as a comment asks for."""
    template = environment(html=False).get_template(f"{name}.md.j2")
    rows = 1024
    while len(text := template.render(content, rows=rows)) > COMMENT_LETTERS and rows > 1:
        rows //= 2
    return text
