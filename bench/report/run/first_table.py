"""The table of the first screen: one row a recommender, with what it gives, what it takes and whether to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.records.learning import Ending
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.reading.facets import ANY, Facets
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    Quantity,
    mebibytes,
    metric_of,
    milliseconds,
    number,
    significant,
)
from bench.report.reading.ratios import latency_of, metric
from bench.report.reading.trained import how_trained
from bench.report.run import money
from bench.report.run.first_rows import QUALITY, FirstRow, notes, training_told
from bench.report.run.fits import peak_bytes
from bench.report.run.load import money_within as served_cell
from bench.report.run.load import users_a_second
from bench.report.run.money import Price


@dataclass(frozen=True)
class ShownRow:
    """One row as it stands on the page.

    Attributes:
        row: What it is about.
        quality: Value alone; the interval stands below it.
        interval: Half of its 95 % interval.
        share: Quality as a share of the best of the setting, for the bar below it, in percent.
        cells: Further cells by column: time, money, training, and what unfolds.
        ended: Whether its training went to its end, or it needs none.
        hidden: Whether it waits for another choice.

    """

    row: FirstRow
    quality: Quantity | str
    interval: str
    share: float
    cells: dict[str, Quantity | str]
    ended: bool
    hidden: bool


MONEY = "USD per million users"
TRAINED = "trained to the end?"
RATE = "users/s"
LATENCY = "latency, p50"
COLUMNS = (LATENCY, MONEY, TRAINED)
MORE = ("p95", "p99", RATE, "peak memory", "HR@10", "cautions")
"""Columns that unfold."""


def columns_of(rows: Sequence[FirstRow]) -> tuple[str, ...]:
    """Return the columns after the quality: of services alone, what they were searched for comes before its price."""
    searched = [row.record.load is not None and row.record.load.peak is not None for row in rows]
    return (RATE, LATENCY, TRAINED) if searched and all(searched) else COLUMNS


def further_of(rows: Sequence[FirstRow]) -> tuple[str, ...]:
    """Return the columns that unfold: all others."""
    return tuple(name for name in (MONEY, *MORE) if name not in columns_of(rows))


def shown_rows(rows: Sequence[FirstRow], chosen: Facets, prices: Sequence[Price]) -> list[ShownRow]:
    """Return all rows of all settings; those that were not chosen at first are hidden.

    Args:
        rows: What was measured.
        chosen: What is chosen at first.
        prices: Prices of devices.

    """
    best: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = _setting(row)
        best[key] = max(best.get(key, 0.0), metric(row.record, QUALITY) or 0.0)
    beside_rate = RATE in columns_of(rows)
    return [_shown(row, chosen, prices, best[_setting(row)], beside_rate=beside_rate) for row in rows]


def _setting(row: FirstRow) -> tuple[str, ...]:
    return tuple(value for name, value in row.facets.items() if name != "decoder")


def _shown(row: FirstRow, chosen: Facets, prices: Sequence[Price], best: float, *, beside_rate: bool) -> ShownRow:
    record = row.record
    value = metric(record, QUALITY)
    mine = all(row.facets.get(name) == wanted for name, wanted in chosen.items() if name != "decoder")
    return ShownRow(
        row,
        NOT_AVAILABLE if value is None else Quantity(f"{value:.4f}", value),
        _half(record),
        0.0 if value is None or not best else 100 * value / best,
        _cells(record, prices, beside_rate=beside_rate),
        how_trained(record) != Ending.CUT_SHORT.value,
        not (mine and row.few and ANY in row.under),
    )


def _half(record: Record) -> str:
    estimate = record.quality.metrics.get(QUALITY) if isinstance(record.quality, Quality) else None
    return "" if estimate is None else f"± {(estimate.high - estimate.low) / 2:.4f}"


def _money(record: Record, prices: Sequence[Price]) -> Quantity | str:
    """Write what a million users cost: asked one after the other, or of a service at the highest rate that it kept."""
    return money.cell(record, prices) if record.case.load is None else served_cell(record, prices)


def _median(record: Record) -> Quantity:
    """Write the median, and of a service at which rate: each is told at the highest that it keeps."""
    median = milliseconds(latency_of(record).p50_s)
    rate = None if record.load is None else record.load.main.rate
    return median if rate is None else Quantity(f"{median} at {significant(rate)}/s", median.value)


def _cells(record: Record, prices: Sequence[Price], *, beside_rate: bool) -> dict[str, Quantity | str]:
    latency, held = latency_of(record), peak_bytes(record)
    times = {name: getattr(latency, f"{name}_s") for name in ("p95", "p99")}
    metrics = record.quality.metrics if isinstance(record.quality, Quality) else {}
    answered = latency.users_per_second if record.load is None else users_a_second(record)
    return {
        LATENCY: milliseconds(latency.p50_s) if beside_rate else _median(record),
        MONEY: _money(record, prices),
        TRAINED: training_told(record),
        **{name: NOT_AVAILABLE if seconds is None else milliseconds(seconds) for name, seconds in times.items()},
        RATE: NOT_AVAILABLE if answered is None else number(answered),
        "peak memory": NOT_AVAILABLE if held is None else mebibytes(held),
        "HR@10": metric_of(metrics, "HR@10"),
        "cautions": "; ".join([*record.labels, *notes(record)]) or "none",
    }


def frame(rows: Sequence[FirstRow], chosen: Facets, prices: Sequence[Price]) -> pd.DataFrame:
    """Return the rows that are shown at first, and their first columns, as a table.

    Args:
        rows: What was measured.
        chosen: What is chosen at first.
        prices: Prices of devices.

    """
    shown = [shown_row for shown_row in shown_rows(rows, chosen, prices) if not shown_row.hidden]
    return pd.DataFrame(
        [
            {
                "recommender": "; ".join(
                    word for word in (shown_row.row.name, shown_row.row.said, *shown_row.row.record.labels) if word
                ),
                QUALITY: f"{shown_row.quality} {shown_row.interval}".rstrip(),
                **{name: shown_row.cells[name] for name in columns_of(rows)},
            }
            for shown_row in shown
        ],
        dtype=object,
    )
