"""RecBole's atomic files in parts: ``NAME.train.inter``, ``NAME.valid.inter``, ``NAME.test.inter``.

RecBole reads them by ``benchmark_filename``. They are put together again, since the split is ours. With the columns
user_id, item_id, timestamp every row is an interaction. With user_id, item_id_list:token_seq, item_id a row is a
history and the item after it, and each user's rows make one sequence; LC-Rec's scripts cut the histories to 50 items.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.files import Columns, FileContent, line_numbers, read_table
from bench.data.layouts.recbole import header_of, read_items
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, sequential
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from bench.data.windows import Window, join

INTERACTIONS = re.compile(r"(?P<NAME>.+)\.(train|valid|test)\.inter")
PARTS = ("train", "valid", "test")
HISTORY = "item_id_list"
USERS = ("user_id", "session_id")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the parts and, if there is one, the ``.item`` file of the same name; or none.

    Raises:
        UserError: There are parts of several datasets, none of which has the folder's name.

    """
    chosen = place.one(INTERACTIONS, "datasets in parts")
    if chosen is None:
        return ()
    items = place.beside(f"{chosen[0]}.item")
    return (*parts_of(place, chosen[0]), *((items,) if items else ()))


def parts_of(place: DataPlace, name: str) -> tuple[Path, ...]:
    """Return the parts that there are, that for training first."""
    return tuple(part for kind in PARTS if (part := place.beside(f"{name}.{kind}.inter")))


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Put the parts together.

    Raises:
        UserError: A file is not as described above.

    """
    unpacker = Unpacker(reading)
    parts = [path for path in files if ".inter" in path.suffixes]
    items = [path for path in files if path not in parts]
    return read_parts([unpacker.read(path) for path in parts]).raw(
        read_items(unpacker.read(items[0])) if items else None
    )


def read_parts(parts: list[FileContent]) -> Events:
    """Read interactions that stand in parts.

    Raises:
        UserError: A part is not as described above, or has other columns than the first.

    """
    label = " + ".join([parts[0].label, *(Path(part.label).name for part in parts[1:])])
    tables = [_read_part(part) for part in parts]
    lines = np.concatenate([line_numbers(len(table), header_lines=1) for table in tables])
    other = next((part for part, table in zip(parts, tables, strict=True) if set(table) != set(tables[0])), None)
    if other is not None:
        raise other.fault(1, "the columns are not those of the other parts", "give all parts the same columns")
    rows = pd.concat(tables, ignore_index=True)
    if HISTORY in rows:
        windows: dict[str, list[Window]] = {}
        columns = zip(lines.tolist(), *(rows[name].tolist() for name in ("user", "item_id", HISTORY)), strict=True)
        for line, user, item, history in columns:
            windows.setdefault(user, []).append(Window(line, (*history.split(), item)))
        return sequential(label, *join(windows))
    timed = "timestamp" in rows
    order = rows["timestamp"].to_numpy() if timed else np.arange(len(rows), dtype=np.int64)
    return Events(label, rows["user"], rows["item_id"], order, lines, timed=timed)


def _read_part(source: FileContent) -> pd.DataFrame:
    """Return the columns user, item_id, and the history or else the time, if there is one."""
    names, _ = header_of(source, ("item_id",))
    user = next((name for name in USERS if name in names), None)
    if user is None:
        raise source.fault(1, f"no column {USERS[0]}", f"the header must name {USERS[0]} and item_id")
    further = next((name for name in (HISTORY, "timestamp") if name in names), None)
    used = [user, "item_id", *([further] if further else [])]
    numeric = frozenset({"timestamp"} & set(used))
    table = read_table(source, Columns(names, used, numeric, frozenset({user, "item_id"}), header_lines=1))
    return table.rename(columns={user: "user"})
