"""CSV files that no spreadsheet takes for a program."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet takes for a formula."""


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Write a table as CSV.

    Texts that begin as formulas do get an apostrophe before them (OWASP, "CSV Injection"); numbers stay as they are.
    """
    quoted = frame.map(_quoted).rename(columns=_quoted)
    return quoted.to_csv(index=False, lineterminator="\n").encode()


def _quoted(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # which readers of CSV take for the end of a row
    if not value.startswith(FORMULA):
        return line
    with suppress(ValueError):
        float(value)
        return value
    return f"'{line}"
