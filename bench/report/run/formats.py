"""The files that a report is written as."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from bench.records.record import Record
from bench.report.drawing import latex as drawing
from bench.report.drawing.figure import Drawing
from bench.report.drawing.section import Section
from bench.report.drawing.spreadsheets import csv_bytes
from bench.report.reading.values import all_values
from bench.report.run import tables
from bench.report.run.references import bibtex


class Format(StrEnum):
    """A kind of file."""

    HTML = "html"
    MARKDOWN = "markdown"
    CSV = "csv"
    PARQUET = "parquet"
    LATEX = "latex"
    SVG = "svg"
    PNG = "png"


NAMES = {
    Format.HTML: ("index.html",),
    Format.MARKDOWN: ("report.md",),
    Format.CSV: ("results.csv", "phases.csv"),
    Format.PARQUET: ("results.parquet",),
}
"""Files of a report whose names do not depend on what it holds."""


def names(wanted: Collection[Format]) -> list[str]:
    """Return the files that a report of these kinds is going to write, as far as that is known before."""
    return [name for kind in wanted for name in NAMES.get(kind, ())]


def values(records: Sequence[Record], wanted: Collection[Format]) -> dict[str, bytes]:
    """Return every scalar of every case as files, by name."""
    if not records or not {Format.CSV, Format.PARQUET} & set(wanted):
        return {}
    made: dict[str, bytes] = {}
    every = all_values(records)
    if Format.CSV in wanted:
        made["results.csv"] = csv_bytes(every)
        made["phases.csv"] = csv_bytes(tables.phases(records))
    if Format.PARQUET in wanted:
        target = io.BytesIO()
        every.to_parquet(target, index=False)
        made["results.parquet"] = target.getvalue()
    return made


def drawn_as(figures: Sequence[Drawing], wanted: Collection[Format], only: Collection[str]) -> dict[str, list[str]]:
    """Return the kinds of files that each figure is written as, by its name.

    Args:
        figures: All figures.
        wanted: Kinds of files.
        only: Figures that are written; none named means all.

    """
    kinds = [kind.value for kind in (Format.SVG, Format.PNG, Format.CSV) if kind in wanted]
    return {figure.name: kinds if not only or figure.name in only else [] for figure in figures}


def drawings(figures: Sequence[Drawing], written: Mapping[str, Collection[str]]) -> dict[str, bytes]:
    """Return figures, and the numbers behind them, as files; `written` is what `drawn_as` returned."""
    return {name: made for figure in figures for name, made in figure.files(written[figure.name]).items()}


def latex(shown: Sequence[Section], recommenders: Sequence[str]) -> dict[str, bytes]:
    """Return the tables of the page as LaTeX, and the papers of its recommenders as BibTeX.

    Args:
        shown: Sections of the page.
        recommenders: Those that it shows.

    """
    made = {
        f"tables/{drawing.label(section, table)}.tex": drawing.table(section, table).encode()
        for section in shown
        for table in section.tables
    }
    return made | {"tables/references.bib": bibtex(recommenders).encode()}
