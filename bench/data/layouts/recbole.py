"""RecBole's atomic files, the field's exchange format (https://recbole.io/docs/user_guide/data/atomic_files.html).

Tab-separated, the first line names the columns as ``name:type``. ``NAME.inter`` needs ``user_id``,
``item_id`` and ``timestamp``; ``NAME.item`` is optional and gives the items' text, found by the columns' names.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.files import Columns, Content, line_numbers, read_table
from bench.data.files import read as read_file
from bench.data.raw import Raw, Texts, number
from bench.data.reading import Reading
from models.errors import UserError
from models.recommender import Item

TITLES = ("title", "movie_title", "item_name", "name")
CATEGORIES = ("categories", "category", "genres", "genre", "class")
BRANDS = ("brand", "brand_name")
NEEDED = ("user_id", "item_id", "timestamp")


def find(path: Path, reading: Reading) -> tuple[Path, ...]:
    """Return the ``.inter`` file and, if there is one, the ``.item`` file of the same name.

    Raises:
        UserError: The folder holds several ``.inter`` files, none of which has the folder's name.

    """
    found = [path] if path.is_file() else sorted(path.glob("*.inter"))
    candidates = [file for file in found if file.suffix == ".inter"]
    own = [file for file in candidates if file.stem == path.name]
    if len(candidates) > 1 and not own:
        names = ", ".join(file.name for file in candidates)
        raise UserError(f"{path}: several .inter files ({names}); give the path of one of them")
    if not candidates:
        return ()
    interactions = (own or candidates)[0]
    items = interactions.with_suffix(".item")
    return (interactions, items) if items.is_file() else (interactions,)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the atomic files.

    Raises:
        UserError: One of them is not as described above.

    """
    interactions = read_file(files[0])
    names, _ = _header(interactions, NEEDED)
    filled = frozenset({"user_id", "item_id"})
    table = read_table(interactions, Columns(names, NEEDED, frozenset({"timestamp"}), filled, header_lines=1))
    users, user_ids = number(table["user_id"])
    numbers, item_ids = number(table["item_id"])
    items = read_file(files[1]) if len(files) > 1 else None
    texts = _read_items(items) if items else None
    return Raw(
        users=users,
        items=numbers,
        order=table["timestamp"].to_numpy(),
        lines=line_numbers(len(table), header_lines=1),
        user_ids=user_ids,
        item_ids=item_ids,
        texts=texts,
        interactions_label=interactions.label,
        items_label=items.label if items else "",
        warnings=texts.warnings(items.label) if items and texts is not None else (),
        timed=True,
    )


def _header(source: Content, needed: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the columns' names and types."""
    first = source.data.split(b"\n", 1)[0].decode("utf-8", "replace")
    cells = [cell.partition(":") for cell in first.split("\t")]
    names = [name for name, _, _ in cells]
    if not all(kind for _, _, kind in cells):
        raise source.fault(1, "the header does not read name:type", "begin with user_id:token<tab>item_id:token ...")
    missing = [name for name in needed if name not in names]
    if missing:
        raise source.fault(1, f"no column {', '.join(missing)}", f"the header must name {', '.join(needed)}")
    if len(set(names)) < len(names):
        raise source.fault(1, "two columns have the same name", "rename one")
    return names, [kind for _, _, kind in cells]


def _read_items(source: Content) -> Texts:
    names, kinds = _header(source, ("item_id",))
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
    texts = Texts()
    for identifier, its_title, its_categories, its_brand in rows:
        texts.add(identifier, Item(its_title.strip(), _split(its_categories, sequence=sequence), its_brand.strip()))
    return texts


def _first(names: list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _split(value: str, *, sequence: bool) -> tuple[str, ...]:
    """Split at commas or bars where there are any; else at blanks if the column is a sequence of tokens."""
    parts = re.split(r"[,|]", value)
    if len(parts) == 1 and sequence:
        parts = value.split()
    return tuple(part for part in (part.strip(" '\"[]") for part in parts) if part)
