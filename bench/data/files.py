"""Text of files as tables, and what is wrong with it as one line; `bench.data.unpacking` gets it off the disk."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.ground.textfiles import check_regular
from models.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", "::": "double colons", " ": "blanks"}
"""What separates columns, and what messages call it."""

BEYOND = 2.0**63
"""What no 64-bit integer holds; times that large are errors of a file."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class FileContent:
    """The uncompressed bytes of one text file, without the line ends at its end.

    Attributes:
        label: How messages name the file.
        data: Lines separated by a line feed; never empty.

    """

    label: str
    data: bytes

    @property
    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its number, from 1, one after the other: a list of all would take the memory twice."""
        return enumerate((line.rstrip(b"\n") for line in BytesIO(self.data)), start=1)

    def fault(self, line: int, problem: str, remedy: str) -> UserError:
        """Make the error for one line of this file."""
        return UserError(f"{self.label}, line {line}: {problem}; {remedy}")


def content(label: str, data: bytes) -> FileContent:
    """Normalise the encoding's mark and the line ends of a text file.

    Raises:
        UserError: It is empty.

    """
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = _from_utf_16(label, data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    data = data.rstrip(b"\n")
    if not data:
        raise UserError(f"{label}, line 1: the file is empty; replace it by a whole copy")
    return FileContent(label, data)


def _from_utf_16(label: str, data: bytes) -> bytes:
    try:
        return data.decode("utf-16").encode()
    except UnicodeError as error:
        raise UserError(f"{label}: begins like UTF-16 text and is none; save the file as UTF-8") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        UserError: It cannot be read, or is no plain file.

    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def checksum(paths: Iterable[Path]) -> str:
    """Return one SHA-256 over the contents of some files, in the order given, each once.

    Raises:
        UserError: One cannot be read.

    """
    return hashlib.sha256("".join(map(sha256, dict.fromkeys(paths))).encode()).hexdigest()


@dataclass(frozen=True)
class Columns:
    """What the columns of a table must be.

    Attributes:
        names: All columns, in the order of the file.
        used: Those that are wanted.
        numeric: Those columns that hold finite numbers.
        filled: Those columns that must not be empty.
        header_lines: Lines before the first row.

    """

    names: Sequence[str]
    used: Sequence[str]
    numeric: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    header_lines: int = 0


def read_table(
    source: FileContent, columns: Columns, *, separator: str = "\t", encoding: str = "utf-8"
) -> pd.DataFrame:
    """Parse separated text at the speed of pandas' C engine; only a bad file is searched line by line.

    Returns:
        The used columns: numeric ones as int64 where all are whole numbers, else as float64, and all others as
        text. Row i stands in line
        ``i + 1 + columns.header_lines``.

    Raises:
        UserError: A row has the wrong number of columns, an empty cell, no number where one must be, or no text.

    """
    data = source.data
    rows = data.count(b"\n") + 1 - columns.header_lines
    breaks = (len(columns.names) - 1) * (rows + columns.header_lines)
    if rows <= 0 or data.count(separator.encode()) != breaks:
        raise _find_fault(source, columns, separator, encoding, "wrong number of columns")
    if len(separator) > 1:  # the C engine wants one character
        data = data.replace(separator.encode(), b"\t")
    try:
        frame = pd.read_csv(
            BytesIO(data),
            sep=separator if len(separator) == 1 else "\t",
            header=None,
            skiprows=columns.header_lines,
            names=list(columns.names),
            usecols=list(columns.used),
            dtype={name: "str" for name in columns.used if name not in columns.numeric},
            na_filter=False,
            skip_blank_lines=False,
            quoting=3,
            encoding=encoding,
            low_memory=False,
        )
    except ValueError as error:  # ParserError and UnicodeDecodeError are ValueErrors
        raise _find_fault(source, columns, separator, encoding, str(error)) from error
    sound = len(frame) == rows and all(
        _are_numbers(frame[name].to_numpy()) if name in columns.numeric else frame[name].ne("").all()
        for name in columns.numeric | columns.filled
    )
    if not sound:
        raise _find_fault(source, columns, separator, encoding, "an empty or broken row")
    return frame


def _find_fault(source: FileContent, columns: Columns, separator: str, encoding: str, reason: str) -> UserError:
    """Return the error for the first line that breaks the rules, or a general one."""
    for line, row in source.lines:
        if line <= columns.header_lines:
            continue
        try:
            cells = row.decode(encoding).split(separator)
        except UnicodeDecodeError:
            return source.fault(line, f"not {encoding} text", f"save the file as {encoding}")
        if len(cells) != len(columns.names):
            return _wrong_count(source, line, cells, columns, separator)
        for name, cell in zip(columns.names, cells, strict=True):
            if name in columns.filled and not cell:
                return source.fault(line, f"{name} is empty", "fill it in or delete the line")
            if name in columns.numeric and not _is_number(cell):
                return source.fault(line, f"{name} is {cell!r}, not a number", "correct or delete the line")
    if source.data.count(b"\n") < columns.header_lines:
        return source.fault(columns.header_lines + 1, "no row after the header", "replace it by a whole copy")
    return UserError(f"{source.label}: cannot be read as a table ({' '.join(reason.split())}); replace it")


def _wrong_count(source: FileContent, line: int, cells: list[str], columns: Columns, separator: str) -> UserError:
    other = other_separator(cells[0], separator, len(columns.names)) if len(cells) == 1 else None
    if other is not None:
        return source.fault(line, wrong_separator(other, separator), "replace them, throughout the file")
    wanted = f"{len(columns.names)} columns ({', '.join(columns.names)})"
    return source.fault(line, f"{len(cells)} columns instead of {wanted}", "correct or delete the line")


def other_separator(line: str, separator: str, columns: int) -> str | None:
    """Return what separates the columns of a line, where it is not what was expected; None where that is unknown.

    Args:
        line: Line of the file.
        separator: What was expected.
        columns: How many there should be, or at least 2 where that is open.

    """
    if separator in line:
        return None
    return next((other for other in SEPARATORS if other != separator and len(line.split(other)) == columns), None)


def wrong_separator(other: str, separator: str) -> str:
    """Return what is wrong, for a message."""
    return f"the columns are separated by {SEPARATORS[other]}, where {SEPARATORS[separator]} are expected"


def _is_number(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell.strip())) and abs(float(cell)) < BEYOND


def _are_numbers(values: NDArray[Any]) -> bool:
    """Tell whether a column that pandas read without being told its type holds numbers, within `BEYOND`."""
    if values.dtype == np.int64:
        return True
    return values.dtype == np.float64 and bool((np.abs(values) < BEYOND).all())  # NaN is not smaller


def line_numbers(rows: int, header_lines: int = 0) -> NDArray[np.int64]:
    """Return in which line each row of a table stands, int64 [rows]."""
    return np.arange(rows, dtype=np.int64) + 1 + header_lines
