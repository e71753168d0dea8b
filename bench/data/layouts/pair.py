"""Two plain files: interactions as tab-separated text, items as JSON lines.

``interactions.tsv.gz`` has a row ``user_id <tab> item_id <tab> order`` for every interaction, without
a header. ``items.jsonl.gz`` has one object for every item: ``item_id``, and where they are known
``title``, ``categories``, ``brand`` and ``title_keywords``, which stands in for a missing title.
Both may also lie there uncompressed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data.files import Columns, Content, line_numbers, read_table
from bench.data.files import read as read_file
from bench.data.raw import Raw, Texts, are_positions, number
from bench.data.reading import Reading
from models.errors import UserError
from models.recommender import Item

INTERACTIONS = "interactions.tsv"
ITEMS = "items.jsonl"
COLUMNS = ("user_id", "item_id", "order")
TABLE = Columns(COLUMNS, COLUMNS, numeric=frozenset({"order"}), filled=frozenset({"user_id", "item_id"}))


def find(path: Path, reading: Reading) -> tuple[Path, ...]:
    """Return the two files in a folder, or none.

    Raises:
        UserError: There are interactions but no items.

    """
    interactions, items = _either(path / f"{INTERACTIONS}.gz"), _either(path / f"{ITEMS}.gz")
    if interactions is None:
        return ()
    if items is None:
        raise UserError(f"{path}: {ITEMS}.gz is missing; put it beside {interactions.name}")
    return interactions, items


def _either(compressed: Path) -> Path | None:
    return next((path for path in (compressed, compressed.with_suffix("")) if path.is_file()), None)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the two files.

    Raises:
        UserError: One of them is not as described above.

    """
    interactions, items = map(read_file, files)
    table = read_table(interactions, TABLE)
    users, user_ids = number(table["user_id"])
    numbers, item_ids = number(table["item_id"])
    texts = _read_items(items)
    return Raw(
        users=users,
        items=numbers,
        order=table["order"].to_numpy(),
        lines=line_numbers(len(table)),
        user_ids=user_ids,
        item_ids=item_ids,
        texts=texts,
        interactions_label=interactions.label,
        items_label=items.label,
        warnings=texts.warnings(items.label),
        timed=not are_positions(users, table["order"].to_numpy()),
    )


def _read_items(source: Content) -> Texts:
    texts = Texts()
    for line, row in source.lines:
        try:
            described = json.loads(row)
        except ValueError as error:
            raise source.fault(line, f"invalid JSON ({error})", "correct or delete the line") from error
        if not isinstance(described, dict) or "item_id" not in described:
            raise source.fault(line, "no object with an item_id", 'write {"item_id": "...", "title": "..."}')
        texts.add(str(described["item_id"]), _item(source, line, described))
    return texts


def _item(source: Content, line: int, described: dict[str, Any]) -> Item:
    title = described.get("title") or described.get("title_keywords") or ""
    categories = described.get("categories") or []
    brand = described.get("brand") or ""
    if not isinstance(categories, list):
        raise source.fault(line, "categories is no list", 'write "categories": ["...", "..."]')
    return Item(str(title), tuple(map(str, categories)), str(brand))
