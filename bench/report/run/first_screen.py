"""What the templates of the first screen are filled with: choices, rows, figure and prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.record import Record
from bench.report.reading.facets import in_common
from bench.report.reading.families import Family
from bench.report.reading.labels import machine_name
from bench.report.reading.ratios import measured
from bench.report.run import first_table, fits, money
from bench.report.run.first_rows import QUALITY, FirstRow
from bench.report.run.money import Price
from bench.report.run.scatter import scatter


def first_screen(records: Sequence[Record], rows: Sequence[FirstRow], prices: Sequence[Price]) -> dict[str, Any]:
    """Return what stands on the first screen, by the names that templates know.

    Args:
        records: What was timed, or failed.
        rows: Its rows.
        prices: Prices of devices.

    """
    chosen = fits.first_choice([row.record for row in rows])
    choices = fits.choices(rows) if rows else None
    families = {row.family for row in rows}
    return {
        "front_live": scatter(rows),
        "choices": choices,
        "first_rows": first_table.shown_rows(rows, chosen, prices),
        "first_md": first_table.frame(rows, chosen, prices),
        "first_columns": (QUALITY, *first_table.columns_of(rows)),
        "first_more": first_table.further_of(rows),
        "common": "" if choices is None else in_common(choices["offered"]["dataset"]),
        "several": fits.several(records, [row.record for row in rows if row.record.case.load is not None]),
        "prices": prices_of(records, prices),
        "kinds": {family.value: family.name.lower() for family in Family if family in families},
    }


def prices_of(records: Sequence[Record], prices: Sequence[Price]) -> dict[str, Price]:
    """Return the price of each device that something was measured on."""
    priced = ((machine_name(record), money.price_of(record, prices)) for record in measured(records))
    return {device: price for device, price in priced if price is not None}
