"""RecBole's atomic files, the field's exchange format (https://recbole.io/docs/user_guide/data/atomic_files.html).

Tab-separated, the first line names the columns as ``name:type``. ``NAME.inter`` needs ``user_id``,
``item_id`` and ``timestamp``; ``NAME.item`` is optional and gives the items' text, found by the columns' names.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.files import Columns, FileContent, line_numbers, other_separator, read_table, wrong_separator
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from bench.data.values import categories
from models.catalogue import Item

INTERACTIONS = re.compile(r"(?P<NAME>.+?)(?<!\.train)(?<!\.valid)(?<!\.test)\.inter")
TITLES = ("title", "movie_title", "item_name", "name")
CATEGORIES = ("categories", "category", "genres", "genre", "class")
BRANDS = ("brand", "brand_name")
NEEDED = ("user_id", "item_id", "timestamp")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the ``.inter`` file and, if there is one, the ``.item`` file of the same name.

    Raises:
        UserError: The folder holds several ``.inter`` files, none of which has the folder's name.

    """
    chosen = place.one(INTERACTIONS, ".inter files")
    if chosen is None:
        return ()
    name, interactions = chosen
    items = place.beside(f"{name}.item")
    return (interactions, items) if items else (interactions,)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the atomic files.

    Raises:
        UserError: One of them is not as described above.

    """
    unpacker = Unpacker(reading)
    interactions = unpacker.read(files[0])
    names, _ = header_of(interactions, NEEDED)
    filled = frozenset({"user_id", "item_id"})
    table = read_table(interactions, Columns(names, NEEDED, frozenset({"timestamp"}), filled, header_lines=1))
    return Events(
        label=interactions.label,
        users=table["user_id"],
        items=table["item_id"],
        order=table["timestamp"].to_numpy(),
        lines=line_numbers(len(table), header_lines=1),
    ).raw(read_items(unpacker.read(files[1])) if len(files) > 1 else None)


def header_of(source: FileContent, needed: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the columns' names and types.

    Args:
        source: An atomic file.
        needed: Columns that must be there.

    Raises:
        UserError: The first line is no header, or lacks one.

    """
    first = source.data.split(b"\n", 1)[0].decode("utf-8", "replace")
    cells = [cell.partition(":") for cell in first.split("\t")]
    names = [name for name, _, _ in cells]
    if other := other_separator(first, "\t", first.count(":")):
        raise source.fault(1, wrong_separator(other, "\t"), "replace them, throughout the file")
    if not all(kind for _, _, kind in cells):
        raise source.fault(1, "the header does not read name:type", "begin with user_id:token<tab>item_id:token ...")
    missing = [name for name in needed if name not in names]
    if missing:
        raise source.fault(1, f"no column {', '.join(missing)}", f"the header must name {', '.join(needed)}")
    if len(set(names)) < len(names):
        raise source.fault(1, "two columns have the same name", "rename one")
    return names, [kind for _, _, kind in cells]


def read_items(source: FileContent) -> Texts:
    """Read an ``.item`` file.

    Raises:
        UserError: The file has no item_id, or a broken row.

    """
    names, kinds = header_of(source, ("item_id",))
    title, category, brand = (_first(names, wanted) for wanted in (TITLES, CATEGORIES, BRANDS))
    used = ["item_id", *(name for name in (title, category, brand) if name)]
    table = read_table(source, Columns(names, used, filled=frozenset({"item_id"}), header_lines=1))
    sequence = category is not None and kinds[names.index(category)] == "token_seq"
    blank = [""] * len(table)
    rows = zip(
        table["item_id"].tolist(),
        *(table[name].tolist() if name else blank for name in (title, category, brand)),
        strict=True,
    )
    texts = Texts(source.label)
    for identifier, its_title, its_categories, its_brand in rows:
        texts.add(identifier, Item(its_title.strip(), categories(its_categories, blanks=sequence), its_brand.strip()))
    return texts


def _first(names: list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)
