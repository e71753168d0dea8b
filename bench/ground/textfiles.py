"""Text and JSON that somebody else may have written: read whole, and told in one line where it cannot be."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from models.errors import UserError

PACKED = ".gz"
"""What the name of a packed file ends in."""

MOST_UNPACKED = 2**30
"""Bytes that a packed text file may unpack to."""


def check_regular(path: Path) -> None:
    """Refuse what is no plain file: reading a pipe could wait for ever, and a device never ends.

    Args:
        path: Path of the file.

    Raises:
        UserError: There is nothing, or a folder, a pipe, a socket or a device.

    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read ({reason}); check the path and its permissions") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise UserError(f"{path}: is {what}, not a file; give the path of a file")


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark; one whose name ends in ``.gz`` is unpacked.

    Args:
        path: Path of the file.

    Raises:
        UserError: It cannot be read, is no plain file, holds no UTF-8 text, or unpacks to more than `MOST_UNPACKED`.

    """
    check_regular(path)
    try:
        return _plain(path).decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: is no whole gzip file ({error}); copy it once more") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no UTF-8 text (byte {error.start}); give a text file") from error


def packed(path: Path, text: str) -> bytes:
    """Return what a text file at a path is to hold: UTF-8, packed where its name ends in ``.gz``, equal for equal text.

    Args:
        path: Path of the file.
        text: What it says.

    """
    return gzip.compress(text.encode(), mtime=0) if path.suffix == PACKED else text.encode()


def either(path: Path) -> Path:
    """Return a packed file's path, or the plain one's where only that is there.

    Args:
        path: Path of the packed one, which ends in ``.gz``; any other is returned as it is.

    """
    plain = path.with_suffix("") if path.suffix == PACKED else path
    return plain if plain.exists() and not path.exists() else path


def _plain(path: Path) -> bytes:
    if path.suffix != PACKED:
        return path.read_bytes()
    with gzip.open(path) as file:
        content = file.read(MOST_UNPACKED + 1)
    if len(content) > MOST_UNPACKED:
        raise UserError(f"{path}: unpacks to more than {MOST_UNPACKED >> 30} GiB, and is no results file of ours")
    return content


def read_json(path: Path) -> Any:
    """Read a file of JSON. NaN and infinities are let through, for a schema to refuse them where they stand.

    Args:
        path: Path of the file.

    Raises:
        UserError: It cannot be read, or is no JSON: torn, nested deeper than 200 levels, or with half a character.

    """
    text = read_text(path)
    try:
        return from_json(text, cache_strings="keys")
    except ValueError as error:
        raise UserError(f"{path}: is no valid JSON ({error}); the file is damaged, make it anew") from error
