"""One table with a row an interaction, as Parquet, CSV, TSV or JSON lines, and if wanted a table of items.

Its columns are found by their names, or named by the user: ``user=..,item=..,time=..``. So Steam's reviews are read
(username, product_id, date) and Yelp's (user_id, business_id, date). Times are numbers or dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.tables import Cells, column_names, read_columns, words
from bench.data.unpacking import Unpacker
from bench.data.values import categories
from models.catalogue import Item
from models.errors import UserError

FILE = re.compile(r"(?P<NAME>.+)\.(parquet|csv|tsv|txt|jsonl|json|inter)")
NEEDED = ("user", "item", "time")
FURTHER = ("title", "categories", "brand")
KNOWN = {
    "user": ("user_id", "user", "userid", "uid", "reviewerid", "username", "session_id", "customer_id"),
    "item": (
        "item_id",
        "item",
        "itemid",
        "iid",
        "movieid",
        "movie_id",
        "parent_asin",
        "asin",
        "product_id",
        "business_id",
    ),
    "time": ("timestamp", "time", "date", "datetime", "unixreviewtime", "ts", "unix_timestamp"),
    "title": ("title", "name", "item_name", "product_name", "app_name"),
    "categories": ("categories", "category", "genres", "genre"),
    "brand": ("brand", "store"),
}
"""What columns are called, in lower case; the first name wins, and of the others there may be only one."""


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the table and that of the items, if one was given; or none.

    Raises:
        UserError: There are several tables, the user named columns and there is none, or a file that was given is none.

    """
    reading = place.reading
    named = bool(reading.columns or reading.items)
    if reading.item_columns and reading.items is None:
        raise UserError("--item-columns: there is no table of items; give it by --items")
    if place.chosen is not None:
        table = place.chosen
        if not named and not _found(column_names(table), NEEDED):
            return ()
    else:
        paths = place.matching(FILE)
        wanted = list(reading.columns.values()) if reading.columns else None
        kept = {name: path for name, path in paths.items() if path != reading.items and _fits(path, wanted)}
        chosen = place.only(kept).one(FILE, "tables")
        if chosen is None and named:
            what = f"with the columns {', '.join(wanted)}" if wanted else "with columns for users, items and times"
            raise UserError(
                f"{place.path}: no table {what}; give the path of the file, and name its columns by --columns"
            )
        if chosen is None:
            return ()
        table = chosen[1]
    return (table, _existing(reading)) if reading.items else (table,)


def _existing(reading: Reading) -> Path:
    assert reading.items is not None
    chosen = DataPlace.at(reading.items, reading).chosen
    if chosen is None:
        raise UserError(f"--items {reading.items}: is no plain file; give the path of a table")
    return chosen


def _fits(path: Path, wanted: list[str] | None) -> bool:
    names = column_names(path)
    return set(wanted) <= set(names) if wanted else bool(_found(names, NEEDED))


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the table, and the items' texts from it or from their own.

    Raises:
        UserError: A column cannot be found, or a file is not as described above.

    """
    unpacker = Unpacker(reading)
    columns = _columns(files[0], reading.columns, NEEDED, "--columns")
    cells = read_columns(files[0], columns, unpacker)
    events = Events(
        label=cells.label,
        users=cells.values["user"],
        items=cells.values["item"],
        order=cells.order,
        lines=cells.lines,
        warnings=cells.warnings,
    )
    if len(files) > 1:
        their_columns = _columns(files[1], reading.item_columns, ("item",), "--item-columns", like=columns["item"])
        return events.raw(_texts(read_columns(files[1], their_columns, unpacker)), complete=True)
    return events.raw(_texts(cells, repeated=True) if columns.keys() & set(FURTHER) else None)


def _columns(
    path: Path, given: Mapping[str, str], needed: tuple[str, ...], option: str, *, like: str | None = None
) -> dict[str, str]:
    """Return what each column is called: as the user says, else by its name.

    Raises:
        UserError: The user names something that no table has, or one cannot be found.

    """
    allowed = (*needed, *FURTHER)
    unknown = next((role for role in given if role not in allowed), None)
    if unknown is not None:
        raise UserError(f"{option} {unknown}={given[unknown]}: there is no such column; name {', '.join(allowed)}")
    names = column_names(path)
    columns = dict(given)
    if like in names and "item" not in columns:
        columns["item"] = str(like)
    missing = tuple(role for role in needed if role not in columns)
    columns |= _found(names, missing) or {}
    still = [role for role in missing if role not in columns]
    if still:
        example = ",".join(f"{role}=..." for role in still)
        there = ", ".join(names)[:200] or "none that can be read"
        raise UserError(
            f"{path}, line 1: no one column for {', '.join(still)} among {there}; say it by {option} {example}"
        )
    return columns | {
        role: name for role in FURTHER if role not in columns for name in (_found(names, (role,)) or {}).values()
    }


def _found(names: list[str], roles: tuple[str, ...]) -> dict[str, str] | None:
    """Return the columns for some roles by their names, None unless there is one for each."""
    columns = {}
    for role in roles:
        called = [name for usual in KNOWN[role] for name in names if name.lower() == usual]
        if not called or (len(called) > 1 and called[0].lower() != KNOWN[role][0]):
            return None
        columns[role] = called[0]
    return columns


def _texts(cells: Cells, *, repeated: bool = False) -> Texts:
    """Return the items' texts.

    Args:
        cells: Columns of a table.
        repeated: Whether an item stands in many rows, so that it is no news that it does.

    """
    rows = len(cells.lines)
    titles, brands = (words(cells.values.get(role), rows) for role in ("title", "brand"))
    named: list[Any] = list(cells.values.get("categories", [None] * rows))
    texts = Texts(cells.label)
    for item, title, names, brand in zip(cells.values["item"], titles, named, brands, strict=True):
        if not repeated or item not in texts:
            texts.add(item, Item(title, categories(names), brand))
    texts.notes += () if repeated else cells.warnings
    return texts
