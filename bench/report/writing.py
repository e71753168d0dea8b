"""Files of a page: rendered, drawn, and put into a folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.home import atomic
from bench.report.figures import Drawing
from bench.report.rendering import environment

PARTS = ("latency", "quality", "history")
"""What the names of these pages' figures begin with."""

COMMENT_LETTERS = 60_000
"""GitHub takes comments of 65,536 characters."""


def write_page(
    folder: Path, name: str, content: Mapping[str, Any], values: pd.DataFrame, drawings: Sequence[Drawing]
) -> list[Path]:
    """Write a page, its Markdown for a comment, its values and its figures, each file atomically.

    Figures that an earlier page left in the folder go.

    Args:
        folder: Where to.
        name: Of the templates, ``NAME.html.j2`` and ``NAME.md.j2``, and of ``NAME.md`` and ``NAME.csv``.
        content: What the templates are filled with; the Markdown's also gets `rows`, of each table at most.
        values: Of the CSV.
        drawings: The figures.

    Returns:
        The files written.

    """
    made = {
        "index.html": environment(html=True).get_template(f"{name}.html.j2").render(content).encode(),
        f"{name}.md": _comment(name, content).encode(),
        f"{name}.csv": values.to_csv(index=False, lineterminator="\n").encode(),
    }
    for drawing in drawings:
        made |= {f"figures/{drawing.name}.svg": drawing.svg, f"figures/{drawing.name}.png": drawing.png}
        made |= {f"figures/{drawing.name}.csv": drawing.data}
    figures = {path for part in PARTS for path in (folder / "figures").glob(f"{part}-*.[spc][vns][gv]")}
    return put(folder, made, figures)


def put(folder: Path, made: Mapping[str, bytes], earlier: Collection[Path]) -> list[Path]:
    """Write files into a folder, each atomically, and take away what an earlier page left there and this one lacks.

    Args:
        folder: Where to.
        made: Contents by name.
        earlier: What may be left of an earlier page.

    Returns:
        The files written.

    """
    files = {folder / name: value for name, value in made.items()}
    for stale in set(earlier) - set(files):
        stale.unlink(missing_ok=True)
    for file, value in files.items():
        with atomic(file) as path:
            path.write_bytes(value)
    return list(files)


def _comment(name: str, content: Mapping[str, Any]) -> str:
    """Render the Markdown, its tables cut as far as a comment asks for."""
    template = environment(html=False).get_template(f"{name}.md.j2")
    rows = 1024
    while len(text := template.render(content, rows=rows)) > COMMENT_LETTERS and rows > 1:
        rows //= 2
    return text
