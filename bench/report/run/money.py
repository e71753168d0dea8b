"""What recommendations cost in money: seconds of a device, times what an hour of it costs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.ground.bounds import fault
from bench.ground.textfiles import read_text
from bench.records.record import Record
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, machine_name, significant
from bench.report.reading.ratios import latency_of
from models.errors import UserError

PRICES = Path(__file__).with_name("prices.toml")

HOUR_S = 3600
MILLION = 1e6


class Price(BaseModel):
    """What an hour of a device costs.

    Attributes:
        device: ``cpu`` or ``cuda``.
        name: Part of the device's name; empty fits all.
        per_hour: USD.
        of: What that buys: one core, or one GPU.
        source: Where the price is from.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    name: str = ""
    per_hour: float = Field(ge=0, allow_inf_nan=False)
    of: str
    source: str


def read_prices(path: Path | None = None) -> list[Price]:
    """Read a price table.

    Args:
        path: Like ``prices.toml`` beside this module, which is read where none is given.

    Raises:
        UserError: It is missing, no TOML, or a row is not as it must be.

    """
    path = path or PRICES
    try:
        rows = tomllib.loads(read_text(path)).get("price", [])
        prices = [Price(**row) for row in rows]
    except UserError as error:
        raise UserError(f"--prices {error}") from error
    except ValidationError as error:
        raise UserError(f"--prices {path}: {fault(error)}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"--prices {path} is no table of prices: {error}; write it like {PRICES.name}") from error
    if not prices:
        raise UserError(f"--prices {path} has no [[price]] rows; write it like {PRICES.name}")
    return prices


def price_of(record: Record, prices: Sequence[Price]) -> Price | None:
    """Return the first price that fits the device of a case."""
    device, name = record.case.device.partition(":")[0], machine_name(record).lower()
    return next((price for price in prices if price.device == device and price.name.lower() in name), None)


def units_of(record: Record) -> int:
    """Return how many of what a price buys a case keeps busy: threads on a CPU, or one GPU."""
    return record.case.threads if record.case.device == "cpu" else 1


def hours(record: Record) -> float:
    """Return how many hours of what a price buys a million users take: requests one after the other, as timed.

    With t the median seconds of a request of B users that keeps n units busy: n t / 3600 / B * 1e6.
    """
    return units_of(record) * latency_of(record).p50_s / record.case.batch_size / HOUR_S * MILLION


def cell(record: Record, prices: Sequence[Price]) -> str:
    """Write the cost of a million users."""
    price = price_of(record, prices)
    if price is None:
        return NOT_AVAILABLE
    value = price.per_hour * hours(record)
    return Quantity(f"{significant(value, 2)} USD", value)


def used(records: Sequence[Record], prices: Sequence[Price]) -> pd.DataFrame:
    """Return the prices that some case was reckoned with, one row a device."""
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        price = price_of(record, prices)
        if price is not None:
            row = {
                "device": machine_name(record),
                "USD an hour": price.per_hour,
                "of": price.of,
                "source": price.source,
            }
            rows.setdefault(machine_name(record), row)
    return pd.DataFrame(list(rows.values()))
