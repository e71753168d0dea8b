"""Text and JSON that somebody else may have written: read whole, and told in one line where it cannot be."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from models.errors import UserError


def check_regular(path: Path) -> None:
    """Refuse what is no plain file: reading a pipe could wait for ever, and a device never ends.

    Args:
        path: Of the file.

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
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        path: Of the file.

    Raises:
        UserError: It cannot be read, is no plain file, or holds no UTF-8 text.

    """
    check_regular(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no UTF-8 text (byte {error.start}); give a text file") from error


def read_json(path: Path) -> Any:
    """Read a file of JSON. NaN and infinities are let through, for a schema to refuse them where they stand.

    Args:
        path: Of the file.

    Raises:
        UserError: It cannot be read, or is no JSON: torn, nested deeper than 200 levels, or with half a character.

    """
    text = read_text(path)
    try:
        return from_json(text, cache_strings="keys")
    except ValueError as error:
        raise UserError(f"{path}: is no valid JSON ({error}); the file is damaged, make it anew") from error
