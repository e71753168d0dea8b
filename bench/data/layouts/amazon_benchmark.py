"""The benchmark files that come with Amazon reviews of 2023 (https://amazon-reviews-2023.github.io/data_processing).

``CATEGORY.csv`` has all interactions; ``CATEGORY.train.csv``, ``CATEGORY.valid.csv`` and ``CATEGORY.test.csv`` have
parts of them, which are put together again. Columns: user_id, parent_asin, rating, timestamp in milliseconds, and in
some editions history, the items before, oldest first. The line that names the columns may be missing, as the
publisher's scripts leave it out. ``meta_CATEGORY.jsonl.gz`` may lie beside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.csvs import Table, header_of, read_csv
from bench.data.files import FileContent
from bench.data.layouts.amazon import metadata_reader
from bench.data.layouts.amazon_2023 import EDITION, METADATA
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, sequential
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker, head
from bench.data.windows import Window, join

INTERACTIONS = re.compile(r"(?P<NAME>.+?)(\.(train|valid|test))?\.csv")
PARTS = ("train", "valid", "test")
COLUMNS = ("user_id", "parent_asin", "rating", "timestamp", "history")
HISTORY = "history"
ROW = re.compile(rb"[^,\n]+,[A-Z0-9]{10},[0-9.]+,[0-9]{9,14}(,[A-Z0-9 ]*)?")
"""How a row without a header looks: an item is known by its ten capitals and digits."""


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the file of all interactions, or the parts; and where it is there, metadata. Or none.

    Raises:
        UserError: There are files of several categories.

    """
    paths = place.matching(INTERACTIONS)
    kept = {category: path for category, path in paths.items() if _fits(path)}
    chosen = place.only(kept).one(INTERACTIONS, "categories")
    if chosen is None:
        return ()
    category, _ = chosen
    unsplit = place.beside(f"{category}.csv")
    parts = [place.beside(f"{category}.{part}.csv") for part in PARTS]
    files = [unsplit] if unsplit and place.chosen in (None, unsplit) else [part for part in parts if part]
    described = place.beside(METADATA.format(category))
    return tuple(files) + ((described,) if described else ())


def _fits(path: Path) -> bool:
    first = head(path).partition(b"\n")[0]
    return bool(ROW.fullmatch(first)) or {b"user_id", b"parent_asin", b"timestamp"} <= set(first.split(b","))


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Put the parts together. Where histories tell of interactions that no row has, the order is theirs, without times.

    Raises:
        UserError: A file is not as described above.

    """
    unpacker = Unpacker(reading)
    parts = [path for path in files if ".jsonl" not in path.name]
    tables = [_read_part(unpacker.read(path)) for path in parts]
    label = " + ".join([tables[0].label, *(path.name for path in parts[1:])])
    rows = pd.concat([table.cells for table in tables], ignore_index=True)
    lines = np.concatenate([table.lines for table in tables])
    if _complete(rows):
        order = np.concatenate([table.order for table in tables])
        events = Events(label, rows["user_id"], rows["parent_asin"], order, lines)
    else:
        events = _from_histories(label, rows, lines)
    described = tuple(path for path in files if path not in parts)
    return events.raw(metadata_reader(unpacker, described, EDITION), complete=True)


def _read_part(source: FileContent) -> Table:
    header = header_of(source)
    names: Sequence[str] | None = None
    if COLUMNS[0] not in header:
        names = COLUMNS[: len(header)]
        header = list(names)
    optional = (HISTORY,) if HISTORY in header else ()
    return read_csv(source, ("user_id", "parent_asin"), optional=optional, time="timestamp", names=names)


def _complete(rows: pd.DataFrame) -> bool:
    """Say whether every item of a history has a row of its own, by their numbers."""
    if HISTORY not in rows:
        return True
    before = rows[HISTORY].fillna("").str.count(" ") + rows[HISTORY].fillna("").ne("")
    users = before.groupby(rows["user_id"], sort=False)
    return bool((users.max() < users.size()).all())


def _from_histories(label: str, rows: pd.DataFrame, lines: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Events:
    windows: dict[str, list[Window]] = {}
    columns = zip(lines.tolist(), *(rows[name].tolist() for name in ("user_id", "parent_asin", HISTORY)), strict=True)
    for line, user, item, history in columns:
        windows.setdefault(user, []).append(Window(line, (*str(history or "").split(), item)))
    return sequential(label, *join(windows))
