"""``python -m bench.report --compare``: results files held against the first of them, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.record import Record
from bench.records.store import Run
from bench.report.comparing import figures as comparison_figures
from bench.report.comparing import sources as origins
from bench.report.comparing import tables as comparison_tables
from bench.report.comparing import words
from bench.report.comparing.comparison import MARGIN, Comparison, Group, compare
from bench.report.comparing.loads import loads
from bench.report.comparing.sources import ResultSource
from bench.report.drawing.figure import Drawing
from bench.report.drawing.writing import write_page
from bench.report.reading.labels import listed
from bench.report.reading.naming import Names
from models.errors import UserError

LEAST_FILES = 2


@dataclass(frozen=True)
class ComparedPart:
    """Cases of one file against those of the base, as a page shows them.

    Attributes:
        title: What is held against what.
        summary: What it comes to.
        latency: Medians and verdicts.
        quality: NDCG@10; empty where there is none.
        costs: What needs no clock.
        loads: Services under load; empty where there are none.
        drawings: Drawings of ratios and differences.

    """

    title: str
    summary: str
    latency: pd.DataFrame
    quality: pd.DataFrame
    costs: pd.DataFrame
    loads: pd.DataFrame
    drawings: list[Drawing]


def write_comparison(
    runs: Sequence[Run], folder: Path, *, margin: float = MARGIN, past: Sequence[Run] = ()
) -> list[Path]:
    """Hold results files against the first of them, and render what comes out.

    Args:
        runs: The base first.
        folder: Gets ``index.html``, ``compare.md``, ``compare.csv`` and ``figures/``.
        margin: Share by which values may differ and still count as the same.
        past: Other runs, which tell how far equal runs lie apart.

    Returns:
        The files written.

    Raises:
        UserError: There are fewer than two files, or one has no case in common with the base.

    """
    if len(runs) < LEAST_FILES:
        raise UserError(f"--compare needs two results files or more, the base first; given: {len(runs)}")
    base, *others = origins.sources(runs)
    names = Names([record for run in runs for record in run.records], say_once=False)
    runs = [replace(run, records=tuple(map(names.of, run.records))) for run in runs]
    stored = [record for run in (*past, *runs) for record in run.records]
    compared = [(other, _compared(base, other, margin, stored)) for other in others]
    parts = [part for other, comparison in compared for part in _parts(base, other, comparison, margin)]
    content: dict[str, Any] = {
        "title": _title(base, others),
        "parts": parts,
        "caution": words.CAUTION,
        "rule": words.rule(margin),
        "cautions": _cautions(base, compared),
        "unmatched": _unmatched(base, compared),
        "sources": origins.table([(f"{source.letter}: {source.name}", source.run) for source in (base, *others)]),
    }
    drawings = [drawing for part in parts for drawing in part.drawings]
    return write_page(folder, "compare", content, comparison_tables.values(base, compared), drawings)


def _title(base: ResultSource, others: Sequence[ResultSource]) -> str:
    """Name the files that are held against the base."""
    return f"{listed([f'{source.letter}: {source.name}' for source in others])} against {base.letter}: {base.name}"


def _compared(base: ResultSource, other: ResultSource, margin: float, past: Sequence[Record]) -> Comparison:
    try:
        return compare(base.run.records, other.run.records, margin=margin, past=past)
    except UserError as error:
        raise UserError(f"{base.run.path} and {other.run.path}: {error}") from error


def _parts(base: ResultSource, other: ResultSource, comparison: Comparison, margin: float) -> list[ComparedPart]:
    return [
        _part(base, other, group, margin, "" if row == 0 else f"-{row + 1}")
        for row, group in enumerate(comparison.groups)
    ]


def _part(base: ResultSource, other: ResultSource, group: Group, margin: float, ending: str) -> ComparedPart:
    title = f"{other.letter} against {base.letter}"
    return ComparedPart(
        title=f"{title}: {words.changed(group)}" if group.changes else f"{title}: equal cases",
        summary=words.summary(base, other, group),
        latency=comparison_tables.latency(base, other, group.rows),
        quality=comparison_tables.quality(base, other, group.rows),
        costs=comparison_tables.costs(base, other, group.rows),
        loads=loads(base, other, group.rows),
        drawings=comparison_figures.draw(base, other, group.rows, margin=margin, ending=ending),
    )


def _cautions(base: ResultSource, compared: Sequence[tuple[ResultSource, Comparison]]) -> list[str]:
    lines = [line for other, comparison in compared for line in words.cautions(base, other, comparison)]
    return list(dict.fromkeys(lines))


def _unmatched(
    base: ResultSource, compared: Sequence[tuple[ResultSource, Comparison]]
) -> list[tuple[str, pd.DataFrame]]:
    """Return the cases of one file only, by pair of files."""
    tables = [
        (f"{base.letter} and {other.letter}", comparison_tables.unmatched(base, other, comparison))
        for other, comparison in compared
    ]
    return [(name, frame) for name, frame in tables if not frame.empty]
