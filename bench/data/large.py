"""Large tables by Arrow: columns of text as numbers and the distinct texts, without a Python object a row.

A table that Arrow reads is the table that `bench.data.csvs` would read: where the two could differ, or where anything
is wrong with the file, nothing is returned, and the slower reader reads it or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from bench.data.files import FileContent

LARGE_BYTES = 8 << 20
"""Smaller tables are read in no time either way."""

BLOCK_BYTES = 8 << 20


def read_large(
    source: FileContent, header: Sequence[str], texts: Sequence[str], time: str | None, separator: str, *, skip: int
) -> tuple[pd.DataFrame, NDArray[np.int64]] | None:
    """Read columns of a table.

    Args:
        source: The file, in UTF-8.
        header: Names of all columns.
        texts: Columns of text that are wanted.
        time: The column of times, if one is wanted.
        separator: One character.
        skip: Lines before the first row.

    Returns:
        The columns of text as categories, and the times, int64 [rows], empty without such a column. None where the
        table is small, has quotes, has times that are not whole numbers, or is not as it should be.

    """
    data = source.data
    rows = data.find(b"\n") if skip else 0  # names of columns are read by others, and may have quotes
    if len(data) < LARGE_BYTES or any(data.find(mark, rows) >= 0 for mark in _marks(separator)):
        return None
    names = [str(place) for place in range(len(header))]
    wanted: dict[str, Any] = {names[header.index(name)]: pa.dictionary(pa.int32(), pa.string()) for name in texts}
    if time:
        wanted[names[header.index(time)]] = pa.int64()
    try:
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            read_options=csv.ReadOptions(column_names=names, skip_rows=skip, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=wanted, include_columns=list(wanted), null_values=[], strings_can_be_null=False
            ),
        )
        table = table.unify_dictionaries()
    except (pa.ArrowException, ValueError):
        return None
    frame = pd.DataFrame({name: categories(table.column(names[header.index(name)])) for name in texts}, copy=False)
    if not time:
        return frame, np.zeros(0, dtype=np.int64)
    times: NDArray[np.int64] = table.column(names[header.index(time)]).to_numpy()
    return frame, times


def _marks(separator: str) -> tuple[bytes, ...]:
    """Return what the two readers may take for different things: quotes, other line ends, hexadecimal numbers."""
    cells = [before + number for before in (separator.encode(), b"\n") for number in (b"0x", b"0X", b"-0x", b"-0X")]
    return (b'"', b"\r", b"\0", *cells)


def categories(column: Any) -> pd.Categorical:
    """Return a column of dictionaries that were unified as categories, by their first appearance.

    Args:
        column: A ``pyarrow.ChunkedArray``.

    """
    categorical = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    numbers = categorical.indices.fill_null(-1) if categorical.null_count else categorical.indices
    return pd.Categorical.from_codes(
        numbers.to_numpy(zero_copy_only=False), categorical.dictionary.to_pandas(), validate=False
    )


def by_appearance(numbers: NDArray[np.integer[Any]], distinct: int) -> bool:
    """Tell whether numbers are those of first appearance: each new one is the next, and all below `distinct` come."""
    if not len(numbers):
        return distinct == 0
    highest = np.maximum.accumulate(numbers)
    return bool(numbers[0] == 0 and highest[-1] == distinct - 1 and (np.diff(highest) <= 1).all())


def encoded(column: Any) -> Any:
    """Return a column of a Parquet file with its distinct values apart, and one dictionary for all of it."""
    if pa.types.is_dictionary(column.type):
        return column.unify_dictionaries()
    return column.dictionary_encode()
