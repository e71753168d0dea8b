"""What stands in the cells and objects of files: texts, categories, times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.raw import Times

MOST = 2**63
HALVES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"
UNITS_PER_SECOND = 1_000_000


def text(value: Any) -> str:
    """Return a value as text: nothing where there is none, its parts side by side where there are several."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, list | tuple | np.ndarray):
        return " ".join(filter(None, map(text, value)))
    return str(value).strip()


def categories(value: Any, *, blanks: bool = False) -> tuple[str, ...]:
    """Return the distinct categories that a value names, in order.

    Args:
        value: A list, a list of paths, or text with commas or bars between the names.
        blanks: Whether blanks separate names in a text that has neither.

    """
    if isinstance(value, list | tuple | np.ndarray):
        nested = (categories(part) if isinstance(part, list | tuple | np.ndarray) else (text(part),) for part in value)
        return tuple(dict.fromkeys(name for names in nested for name in names if name))
    cell = text(value)
    parts = re.split(r"[,|]", cell)
    if len(parts) == 1 and blanks:
        parts = cell.split()
    return tuple(dict.fromkeys(name for part in parts if (name := part.strip(" '\"[]"))))


def whole(value: str) -> str:
    """Replace halves of characters (lone surrogates), which no file can hold and no tokenizer reads."""
    return HALVES.sub(REPLACEMENT, value)


def is_time(value: Any) -> bool:
    """Say whether a value is a number that a time can be: finite, and no more than 64 bits hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value < MOST


def numbers(values: Sequence[int | float]) -> Times:
    """Return numbers of which `is_time` holds: integers keep every digit (int64), others are float64."""
    if all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=np.float64)


def times(cells: pd.Series) -> tuple[Times, int | None]:
    """Read a column of times: numbers, or dates such as ``2018-01-31`` and ``2018-01-31T12:00:00Z`` (UTC if not said).

    Args:
        cells: Numbers, dates, or text.

    Returns:
        Numbers as they stand, or seconds since 1970 where all are dates (microseconds where one has fractions); and
        the first row that is neither, or None.

    """
    if pd.api.types.is_datetime64_any_dtype(cells):
        return _since_1970(cells)
    if pd.api.types.is_bool_dtype(cells):
        return np.zeros(len(cells)), 0
    if pd.api.types.is_integer_dtype(cells) and not cells.isna().any():
        faults = np.flatnonzero((cells >= MOST).to_numpy()) if cells.dtype.kind == "u" else ()
        return cells.to_numpy(dtype=np.int64), _first(faults)
    if pd.api.types.is_float_dtype(cells):
        read = cells.to_numpy(dtype=np.float64)
        return read, _first(np.flatnonzero(~_fits(read)))
    return _from_text(cells)


def _from_text(cells: pd.Series) -> tuple[Times, int | None]:
    with suppress(ValueError, TypeError, OverflowError, AttributeError):
        if not cells.str.contains("_", regex=False).any():  # Python reads 1_000
            return np.asarray(cells.astype("int64"), dtype=np.int64), None
    read = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(read[:1]).any():  # the first cell decides what the column holds
        dates = pd.to_datetime(cells, utc=True, format="ISO8601", errors="coerce")
        return _since_1970(dates)
    return read, _first(np.flatnonzero(~_fits(read)))


def _since_1970(dates: pd.Series) -> tuple[Times, int | None]:
    if dates.dt.tz is None:
        dates = dates.dt.tz_localize("UTC")
    missing = np.flatnonzero(dates.isna())
    if len(missing):
        return np.zeros(len(dates)), _first(missing)
    micros = dates.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]").to_numpy().astype(np.int64)
    if (micros % UNITS_PER_SECOND == 0).all():
        micros //= UNITS_PER_SECOND
    return micros, None


def _fits(read: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(read) & (np.abs(read) < MOST)


def _first(rows: Iterable[int]) -> int | None:
    return next((int(row) for row in rows), None)
