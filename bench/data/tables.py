"""Tables that people bring, whatever they are written in: some columns of a file, found by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.csvs import header_of, read_csv
from bench.data.files import SEPARATORS, FileContent, line_numbers
from bench.data.large import encoded
from bench.data.objects import Objects
from bench.data.place import archive_of
from bench.data.raw import Times
from bench.data.unpacking import Unpacker, head
from bench.data.values import text, times
from models.errors import UserError

PARQUET_MAGIC = b"PAR1"
ONE_CHARACTER = tuple(separator for separator in SEPARATORS if len(separator) == 1)
BATCH_ROWS = 1 << 16
BYTES_A_VALUE = 8
FIRST_KEY = re.compile(rb"""\s*\{\s*u?['"]""")


@dataclass(frozen=True)
class Cells:
    """Columns of a table by what they are for.

    Attributes:
        label: How messages name the file.
        values: A list for each column that was asked for: text for ``user`` and ``item``, else what stands in the file.
        order: Times, int64 or float64 [rows]; empty where none were asked for.
        lines: Where each row stands, int64 [rows]; of Parquet, its number from 1.
        warnings: What was noticed.

    """

    label: str
    values: dict[str, Any]
    order: Times
    lines: NDArray[np.int64]
    warnings: tuple[str, ...] = ()


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns, those of its first object's fields; none where there is no table."""
    if _is_parquet(path):
        return [str(name) for name in _parquet(path).schema_arrow.names]
    first = head(path).partition(b"\n")[0]
    if FIRST_KEY.match(first):
        try:
            return list(Objects(FileContent(str(path), first)).parse(1, first))
        except UserError:
            return []
    source = FileContent(str(path), first)
    return max((header_of(source, separator) for separator in ONE_CHARACTER), key=len) if first else []


def read_columns(path: Path, columns: Mapping[str, str], unpacker: Unpacker) -> Cells:
    """Read columns of a table: Parquet, JSON lines (or Python literals), or text with a line that names the columns.

    Args:
        path: Path of the file; Parquet cannot lie in a zip.
        columns: What each is called in the file, by what it is for: ``item``, and where wanted ``user``, ``time``,
            ``title``, ``categories``, ``brand``.
        unpacker: Reads it.

    Raises:
        UserError: A column is missing, a user or item is empty, a time is none, or the file cannot be read.

    """
    if _is_parquet(path):
        return _read_parquet(path, columns, unpacker)
    source = unpacker.read(path)
    if FIRST_KEY.match(source.data[:1024]):
        return _read_objects(source, columns)
    return _read_text(source, columns)


def _read_text(source: FileContent, columns: Mapping[str, str]) -> Cells:
    wanted = set(columns.values())
    separator = next((char for char in ONE_CHARACTER if wanted <= set(header_of(source, char))), ",")
    needed = [columns[role] for role in ("user", "item") if role in columns]
    further = [name for role, name in columns.items() if role not in {"user", "item", "time"}]
    table = read_csv(source, needed, optional=further, time=columns.get("time"), separator=separator)
    values = {role: table.cells[name] for role, name in columns.items() if role != "time"}
    return Cells(source.label, values, table.order, table.lines)


def _read_objects(source: FileContent, columns: Mapping[str, str]) -> Cells:
    objects = Objects(source)
    values: dict[str, list[Any]] = {role: [] for role in columns}
    needed = [role for role in ("user", "item", "time") if role in columns]
    for line, row in source.lines:
        described = objects.parse(line, row)
        for role in needed:
            value = described.get(columns[role])
            if value is None or value == "":
                there = ", ".join(described)[:200]
                raise source.fault(line, f"no {columns[role]}", f"fill it in or delete the line; it has {there}")
            values[role].append(value if role == "time" else str(value))
        for role in columns.keys() - set(needed):
            values[role].append(described.get(columns[role]))
    lines = line_numbers(len(values["item"]))
    order = (
        _order(source.label, pd.Series(values.pop("time"), dtype="object"), lines, columns)
        if "time" in columns
        else None
    )
    return Cells(source.label, values, np.zeros(0) if order is None else order, lines, objects.warnings())


def _order(label: str, cells: pd.Series, lines: NDArray[np.int64], columns: Mapping[str, str]) -> Times:
    if all(isinstance(value, str) for value in cells.iloc[:1]):
        cells = cells.astype("str")
    elif cells.dtype == object:
        cells = cells.infer_objects()
    order, fault = times(cells)
    if fault is not None:
        value = str(cells.iloc[fault])[:60]
        raise UserError(
            f"{label}, line {lines[fault]}: {columns['time']} is {value!r}, neither a number of 64 bits nor a date "
            "like the others; write numbers, or YYYY-MM-DD hh:mm:ss"
        )
    return order


def _is_parquet(path: Path) -> bool:
    if archive_of(path) != path:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: no whole Parquet file ({reason}); fetch a whole copy of it") from error


def _read_parquet(path: Path, columns: Mapping[str, str], unpacker: Unpacker) -> Cells:
    """Read a Parquet file batch by batch, since what it says of its sizes need not be true."""
    import pyarrow as pa

    file = _parquet(path)
    names = list(dict.fromkeys(columns.values()))
    missing = [name for name in names if name not in file.schema_arrow.names]
    if missing:
        there = ", ".join(file.schema_arrow.names)[:200]
        raise UserError(f"{path}, line 1: no column {', '.join(missing)}; the file has {there}; name its columns")
    if not file.metadata.num_rows:
        raise UserError(f"{path}, line 1: the file is empty; replace it by a whole copy")
    unpacker.check(path, file.metadata.num_rows * len(names) * BYTES_A_VALUE)
    batches = []
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            unpacker.count(path, batch.nbytes)
            batches.append(batch)
        table = pa.Table.from_batches(batches)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: cannot be read as Parquet ({reason}); fetch a whole copy of it") from error
    lines = line_numbers(len(table))
    values: dict[str, Any] = {}
    for role, name in columns.items():
        column = table.column(name)
        if role in {"user", "item"}:
            values[role] = _identifiers(path, name, column)
        elif role == "time":
            values[role] = column.to_pandas()
        else:
            values[role] = column.to_pylist()
    order = _order(str(path), values.pop("time"), lines, columns) if "time" in columns else np.zeros(0)
    return Cells(str(path), values, order, lines)


def _identifiers(path: Path, name: str, column: Any) -> pd.Series:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):  # pandas writes integers so where one is missing
        column = pc.cast(column, pa.int64(), safe=False)
    try:
        column = encoded(column)
        numbers = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks])
        names = pc.cast(column.chunk(0).dictionary, pa.string()).to_pandas().astype("str")
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UserError(f"{path}: column {name} holds {column.type}, no identifiers; name another") from error
    missing = np.flatnonzero(names.isna() | names.eq("") | names.eq("None"))
    empty = np.flatnonzero((numbers < 0) | np.isin(numbers, missing))
    if len(empty):
        raise UserError(f"{path}, line {empty[0] + 1}: {name} is empty; fill it in or delete the row")
    if not names.is_unique:  # two values are spelled alike
        return pd.Series(names.to_numpy()[numbers], dtype="str")
    return pd.Series(pd.Categorical.from_codes(numbers, names, validate=False))


def words(values: Sequence[Any] | None, rows: int) -> list[str]:
    """Return a column as text, blank where there is no column."""
    return [""] * rows if values is None else [text(value) for value in values]
