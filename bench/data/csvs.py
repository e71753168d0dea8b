"""Tables with quoted cells and a line that names the columns, at the speed of pandas' C engine."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO

import numpy as np
import pandas as pd

from bench.data.files import SEPARATORS, FileContent, line_numbers, wrong_separator
from bench.data.large import read_large
from bench.data.raw import Times
from bench.data.values import times
from models.errors import UserError


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
        label: How messages name the file.
        cells: Every column that was asked for, as text, or of a large table as categories of text.
        order: The column of times, int64 or float64 [rows]; empty without one.
        lines: Where each row stands, int64 [rows]; a row with a line end inside of a cell moves the later ones.

    """

    label: str
    cells: pd.DataFrame
    order: Times
    lines: np.ndarray[tuple[int], np.dtype[np.int64]]


def header_of(source: FileContent, separator: str = ",") -> list[str]:
    """Return the names of the columns, or as they would be without a header the cells of the first row."""
    first = source.data.partition(b"\n")[0].decode("utf-8", "replace")
    return [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]


def read_csv(
    source: FileContent,
    filled: Sequence[str],
    *,
    optional: Sequence[str] = (),
    time: str | None = None,
    separator: str = ",",
    names: Sequence[str] | None = None,
) -> Table:
    """Read columns of a table.

    Args:
        source: The file, in UTF-8.
        filled: Columns of text that must not be empty.
        optional: Columns of text that may.
        time: The column of times.
        separator: One character.
        names: All columns, where the file has no line that names them.

    Raises:
        UserError: A column is missing, a row has too many or too few cells, a cell is empty or no time, or no text.

    """
    header = header_of(source, separator) if names is None else list(names)
    used = [*filled, *([time] if time else []), *optional]
    _check_header(source, header, used, separator)
    lines_before = 0 if names else 1
    large = read_large(source, header, [*filled, *optional], time, separator, skip=lines_before)
    if large is not None and len(large[0]) and not any("" in large[0][name].cat.categories for name in filled):
        return Table(source.label, *large, line_numbers(len(large[0]), lines_before))
    try:
        frame = pd.read_csv(
            BytesIO(source.data),
            sep=separator,
            header=None,
            skiprows=lines_before,
            names=range(len(header)),
            usecols=sorted({header.index(name) for name in used}),
            dtype={header.index(name): "str" for name in used if name != time},
            na_filter=False,
            index_col=False,
            skip_blank_lines=False,
            low_memory=False,
            on_bad_lines="error",
        )
    except (ValueError, OverflowError) as error:  # ParserError, EmptyDataError and UnicodeDecodeError are ValueErrors
        raise _find_fault(source, header, separator, lines_before, str(error)) from error
    rows = len(frame) + lines_before
    if b'"' not in source.data and source.data.count(separator.encode()) != rows * (len(header) - 1):
        raise _find_fault(source, header, separator, lines_before, "wrong number of columns")
    if frame.empty:
        raise source.fault(lines_before + 1, "no row after the header", "replace it by a whole copy")
    frame = frame.rename(columns=dict(enumerate(header)))
    for name in filled:
        empty = np.flatnonzero(frame[name].isna() | frame[name].eq(""))
        if len(empty):
            raise _at(
                source, int(empty[0]), separator, lines_before, f"{name} is empty", "fill it in or delete the line"
            )
    order: Times = np.zeros(0)
    if time:
        order, fault = times(frame[time])
        if fault is not None:
            said = f"{time} is {str(frame[time].iloc[fault])!r}, neither a number of 64 bits nor a date like the others"
            raise _at(source, fault, separator, lines_before, said, "write numbers, or YYYY-MM-DD hh:mm:ss")
    cells = frame[[name for name in used if name != time]].fillna("")
    return Table(source.label, cells, order, line_numbers(len(frame), lines_before))


def _check_header(source: FileContent, header: list[str], used: Sequence[str], separator: str) -> None:
    missing = [name for name in used if name not in header]
    if missing:
        first = source.data.partition(b"\n")[0].decode("utf-8", "replace")
        other = next((char for char in SEPARATORS if char != separator and set(used) <= set(first.split(char))), None)
        if other:
            raise source.fault(1, wrong_separator(other, separator), "replace them, throughout the file")
        there = ", ".join(header)[:200]
        raise source.fault(1, f"no column {', '.join(missing)}", f"the file has {there}; name its columns")
    twice = next((name for name in used if header.count(name) > 1), None)
    if twice is not None:
        raise source.fault(1, f"two columns are called {twice}", "rename one")


def _find_fault(source: FileContent, header: list[str], separator: str, lines_before: int, reason: str) -> UserError:
    """Return the error for the first line that cannot be read, or a general one."""
    for line, row in source.lines:
        try:
            row.decode()
        except UnicodeDecodeError:
            return source.fault(line, "not utf-8 text", "save the file as utf-8")
    if source.data.count(b"\n") < lines_before:
        return source.fault(lines_before + 1, "no row after the header", "replace it by a whole copy")
    reader = csv.reader(StringIO(source.data.decode(), newline=""), delimiter=separator)
    try:
        for cells in reader:
            if len(cells) != len(header):
                wanted = f"{len(header)} columns ({', '.join(header)[:200]})"
                return source.fault(
                    reader.line_num, f"{len(cells)} columns instead of {wanted}", "correct or delete it"
                )
    except csv.Error as error:
        return source.fault(reader.line_num, f"no table ({error})", "correct or delete the line")
    return UserError(f"{source.label}: cannot be read as a table ({' '.join(reason.split())}); replace it")


def _at(source: FileContent, row: int, separator: str, lines_before: int, problem: str, remedy: str) -> UserError:
    """Return the error for a row, with the line in which it ends."""
    line = row + 1 + lines_before
    if b'"' in source.data:
        reader = csv.reader(StringIO(source.data.decode(), newline=""), delimiter=separator)
        for _ in zip(range(line), reader, strict=False):
            pass
        line = reader.line_num
    return source.fault(line, problem, remedy)
