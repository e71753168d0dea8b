"""The rows that matter, in a terminal: for those who measure over ssh."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.records.record import Record
from bench.records.store import StudyFile
from bench.records.studies import Studies
from bench.report.reading.distrust import distrust, graver_first
from bench.report.reading.facets import ANY, FACETS
from bench.report.reading.joining import with_whole_quality
from bench.report.reading.naming import page_names, whole_dataset
from bench.report.run.first_rows import QUALITY, FirstRow, first_rows
from bench.report.run.first_table import LATENCY, MONEY, ShownRow, columns_of, shown_rows
from bench.report.run.fits import first_choice
from bench.report.run.money import Price
from bench.report.run.opening import Opening, opening
from bench.report.studies import ablations
from bench.report.studies.doubts import doubts
from bench.report.studies.variants import ranked, variants

SHORT = {LATENCY: "p50", MONEY: "USD/million"}
"""Columns that a terminal names in fewer letters."""

MOST = 5
"""Rows that are printed of each setting."""


def print_rows(
    stored: Sequence[Record],
    files: Sequence[StudyFile] = (),
    prices: Sequence[Price] = (),
    console: Console | None = None,
) -> None:
    """Print the answer, and the five rows that matter of the first setting.

    Args:
        stored: What was timed, or failed.
        files: What was studied.
        prices: Prices of devices.
        console: Where to; standard output where None.

    """
    studies = Studies()
    for file in files:
        studies = studies.joined(file.studies)
    named, studies = page_names(stored, studies)
    whole_quality = with_whole_quality(named, studies.evaluations)
    records = [record for record in whole_quality if record.case.load is None]
    served = [record for record in whole_quality if record.case.load is not None]
    rows, evaluated = first_rows(records, served), variants(studies.evaluations)
    told = graver_first([*distrust(records, served), *doubts(studies)])
    every = [doubt for group in told.values() for doubt in group]
    parts = ablations.parts(studies.ablations, evaluated, records)
    print_opening(opening(records, rows, studies, ranked(evaluated), parts, every), rows, prices, console)


def print_opening(
    begun: Opening, rows: Sequence[FirstRow], prices: Sequence[Price], console: Console | None = None
) -> None:
    """Print an answer, and the five rows that matter of the first setting; see `print_rows`."""
    console = console or Console()
    console.print(Text(begun.question, style="bold"))
    for sentence in begun.sentences:
        console.print(Text(sentence))
    chosen = first_choice([row.record for row in rows])
    shown = [shown_row for shown_row in shown_rows(rows, chosen, prices) if not shown_row.hidden]
    if shown:
        data = whole_dataset(shown[0].row.record)  # nothing else here says what it was loaded with
        console.print(_table(shown[:MOST], columns_of(rows), ", ".join(_words({**chosen, "dataset": data}))))
        if len(shown) > MOST:
            console.print(Text(f"{len(shown) - MOST} more of this setting are on the page.", style="dim"))


def _words(chosen: dict[str, str]) -> list[str]:
    return [f"batch {chosen[name]}" if name == "batch" else chosen[name] for name in FACETS if chosen[name] != ANY]


def _table(shown: Sequence[ShownRow], columns: Sequence[str], title: str) -> Table:
    table = Table(title=Text(title, style="dim"), title_justify="left", box=None, pad_edge=False)
    table.add_column("recommender", overflow="fold")
    for name in (QUALITY, *columns[:-1]):
        table.add_column(SHORT.get(name, name), justify="right", no_wrap=True)
    table.add_column("trained?", min_width=10)
    for shown_row in shown:
        name = "; ".join(
            word for word in (shown_row.row.name, shown_row.row.said, *shown_row.row.record.labels) if word
        )
        cells = [
            f"{shown_row.quality} {shown_row.interval}".rstrip(),
            *(str(shown_row.cells[column]).removesuffix(" USD") for column in columns),
        ]
        table.add_row(*map(Text, (name, *cells)))
    return table
