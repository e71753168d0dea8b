"""Sequences as text, as S3-Rec and P5 publish them: ``user item item item ...``, one user a line, oldest item first.

Found as ``sequential_data.txt``, ``Beauty.txt`` and the like (https://github.com/RUCAIBox/CIKM2020-S3Rec). Users and
items are numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.files import FileContent
from bench.data.place import DataPlace
from bench.data.raw import Raw, sequential
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker, head

FILE = re.compile(r"(?P<NAME>.+)\.txt")
LINE = re.compile(rb"\s*\d+([ \t]+\d+)+\s*")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the file, or none.

    Raises:
        UserError: There are several.

    """
    return find_text(place, pairs=False)


def find_text(place: DataPlace, *, pairs: bool) -> tuple[Path, ...]:
    """Return the text that holds nothing but numbers, or none.

    Args:
        place: Where.
        pairs: Whether one with a user and an item a line is looked for, else one with a user's items a line.

    Raises:
        UserError: There are several.

    """
    paths = {name: path for name, path in place.matching(FILE).items() if _holds_pairs(path) is pairs}
    chosen = place.only(paths).one(FILE, "texts with sequences")
    return (chosen[1],) if chosen else ()


def _holds_pairs(path: Path) -> bool | None:
    """Say whether all lines have two numbers and some user several lines; None where it is no such text at all."""
    rows = [row for row in head(path).split(b"\n") if row.strip()]
    if not rows or not all(map(LINE.fullmatch, rows)):
        return None
    cells = [row.split() for row in rows]
    return all(len(row) == 2 for row in cells) and len({row[0] for row in cells}) < len(cells)  # noqa: PLR2004 - pairs


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the sequences.

    Raises:
        UserError: A line has no item, something that is no number, or a user who had a line before.

    """
    source = Unpacker(reading).read(files[0])
    rows = []
    lines: dict[str, int] = {}
    for line, user, items in numbers(source):
        if lines.setdefault(user, line) != line:
            raise source.fault(line, f"user {user} has a line already, {lines[user]}", "join the two")
        rows.append((line, user, items))
    return sequential(source.label, rows).raw()


def numbers(source: FileContent) -> list[tuple[int, str, list[str]]]:
    """Return each line that is not empty: where it stands, the user, the items.

    Raises:
        UserError: A line has fewer than two words, or one that is no number.

    """
    rows = []
    for line, row in source.lines:
        if row.strip():
            if not LINE.fullmatch(row):
                said = row.decode("utf-8", "replace").strip()[:40]
                raise source.fault(line, f"{said!r} is no user with items, all of them numbers", "correct or delete it")
            user, *items = row.decode().split()
            rows.append((line, user, items))
    return rows
