"""Pairs as text, as SASRec publishes them: ``user item``, one interaction a line, each user's in order.

Found as ``ml-1m.txt``, ``Beauty.txt`` and the like (https://github.com/kang205/SASRec). Users and items are numbers.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.layouts.sequences import find_text, numbers
from bench.data.place import DataPlace
from bench.data.raw import Raw, sequential
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the file, or none.

    Raises:
        UserError: There are several.

    """
    return find_text(place, pairs=True)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the pairs.

    Raises:
        UserError: A line is no pair of numbers.

    """
    source = Unpacker(reading).read(files[0])
    rows = numbers(source)
    for line, _, items in rows:
        if len(items) > 1:
            raise source.fault(line, f"{len(items) + 1} numbers instead of a user and an item", "correct or delete it")
    return sequential(source.label, rows).raw()
