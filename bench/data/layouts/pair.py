"""Two plain files: interactions as tab-separated text, items as JSON lines.

``interactions.tsv.gz`` has a row ``user_id <tab> item_id <tab> order`` for every interaction, without
a header. ``items.jsonl.gz`` has one object for every item: ``item_id``, and where they are known
``title``, ``categories``, ``brand`` and ``title_keywords``, which stands in for a missing title.
Both may also lie there uncompressed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data.files import Columns, FileContent, line_numbers, read_table
from bench.data.objects import Objects
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts, are_positions
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from models.catalogue import Item
from models.errors import UserError

INTERACTIONS = re.compile(r"(?P<NAME>interactions)\.tsv")
ITEMS = "items.jsonl"
COLUMNS = ("user_id", "item_id", "order")
TABLE = Columns(COLUMNS, COLUMNS, numeric=frozenset({"order"}), filled=frozenset({"user_id", "item_id"}))


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the two files, or none.

    Raises:
        UserError: There are interactions but no items.

    """
    chosen = place.one(INTERACTIONS, "files of interactions")
    if chosen is None:
        return ()
    items = place.beside(ITEMS)
    if items is None:
        raise UserError(f"{place.path}: {ITEMS}.gz is missing; put it beside {chosen[1].name}")
    return chosen[1], items


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the two files.

    Raises:
        UserError: One of them is not as described above.

    """
    unpacker = Unpacker(reading)
    interactions, items = map(unpacker.read, files)
    table = read_table(interactions, TABLE)
    texts, warnings = _read_items(items)
    raw = Events(
        label=interactions.label,
        users=table["user_id"],
        items=table["item_id"],
        order=table["order"].to_numpy(),
        lines=line_numbers(len(table)),
        timed=False,
        warnings=warnings,
    ).raw(texts)
    return replace(raw, timed=not are_positions(raw.users, raw.order))


def _read_items(source: FileContent) -> tuple[Texts, tuple[str, ...]]:
    texts, objects = Texts(source.label), Objects(source)
    for line, row in source.lines:
        described = objects.parse(line, row)
        if "item_id" not in described:
            raise source.fault(line, "no object with an item_id", 'write {"item_id": "...", "title": "..."}')
        texts.add(str(described["item_id"]), _item(source, line, described))
    return texts, objects.warnings()


def _item(source: FileContent, line: int, described: dict[str, Any]) -> Item:
    title = described.get("title") or described.get("title_keywords") or ""
    categories = described.get("categories") or []
    brand = described.get("brand") or ""
    if not isinstance(categories, list):
        raise source.fault(line, "categories is no list", 'write "categories": ["...", "..."]')
    return Item(str(title), tuple(map(str, categories)), str(brand))
