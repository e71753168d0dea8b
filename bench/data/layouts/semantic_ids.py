"""What LC-Rec, LETTER and MiniOneRec train on: sequences, items' texts and semantic IDs, as JSON.

``NAME.inter.json`` has the items of each user, oldest first: ``{"0": [3, 7, ...], ...}``. ``NAME.item.json`` describes
them: ``{"3": {"title": ..., "categories": ..., "brand": ...}, ...}``. ``NAME.index.json`` gives each its semantic ID:
``{"3": ["<a_12>", "<b_3>", "<c_200>"], ...}``. In place of the first there may be an atomic file, ``NAME.inter``, or
its parts (https://github.com/RUCAIBox/LC-Rec, https://github.com/AkaliKong/MiniOneRec).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from bench.data.files import FileContent
from bench.data.layouts.recbole_split import parts_of, read_parts
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts, sequential
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from bench.data.values import categories, text
from models.catalogue import Item

SEQUENCES, INDEX, ITEMS = ".inter.json", ".index.json", ".item.json"
ANY = re.compile(r"(?P<NAME>.+?)(\.inter\.json|\.index\.json|(\.(train|valid|test))?\.inter)")
CODE = re.compile(r"<?\w*?_?(\d{1,9})>?")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the interactions and what of the other two there is; or none.

    Raises:
        UserError: There are several datasets, none of which has the folder's name.

    """
    paths = {name: path for name, path in place.matching(ANY).items() if _interactions(place, name)}
    chosen = place.only(paths).one(ANY, "datasets with semantic IDs")
    if chosen is None:
        return ()
    name = chosen[0]
    further = (place.beside(f"{name}{kind}") for kind in (INDEX, ITEMS))
    return (*_interactions(place, name), *(path for path in further if path))


def _interactions(place: DataPlace, name: str) -> tuple[Path, ...]:
    """Return where the interactions of a dataset stand; none where nothing tells it from RecBole's."""
    if sequences := place.beside(f"{name}{SEQUENCES}"):
        return (sequences,)
    if not place.beside(f"{name}{INDEX}") and not place.beside(f"{name}{ITEMS}"):
        return ()
    unsplit = place.beside(f"{name}.inter")
    return (unsplit,) if unsplit else parts_of(place, name)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read interactions, texts and semantic IDs.

    Raises:
        UserError: A file is not as described above.

    """
    unpacker = Unpacker(reading)
    named = {kind: unpacker.read(path) for path in files for kind in (INDEX, ITEMS) if kind in path.name}
    parts = [unpacker.read(path) for path in files if INDEX not in path.name and ITEMS not in path.name]
    events = _read_sequences(parts[0]) if SEQUENCES in files[0].name else read_parts(parts)
    texts = _read_items(named[ITEMS]) if ITEMS in named else None
    codes = _read_codes(named[INDEX]) if INDEX in named else None
    return events.raw(texts, codes, complete=True)


def _entries(source: FileContent) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a file that is one object."""
    try:
        entries = from_json(source.data)
    except ValueError as error:  # it says line and column
        line = int(match[1]) if (match := re.search(r"line (\d+)", str(error))) else 1
        raise source.fault(line, f"invalid JSON ({error})", "fetch a whole copy") from error
    if not isinstance(entries, Mapping):
        raise source.fault(1, "no object, {...}", "fetch a whole copy")
    yield from entries.items()


def _read_sequences(source: FileContent) -> Events:
    rows = []
    for user, items in _entries(source):
        if not isinstance(items, list) or not all(isinstance(item, int | str) for item in items):
            raise source.fault(1, f"the entry of user {user!r} is no list of items", "correct or delete it")
        rows.append((1, user, [str(item) for item in items]))
    return sequential(source.label, rows)


def _read_items(source: FileContent) -> Texts:
    texts = Texts(source.label)
    for identifier, described in _entries(source):
        if isinstance(described, str):
            texts.add(identifier, Item(described))
        elif isinstance(described, dict):
            names = categories(described.get("categories") or described.get("category"))
            texts.add(identifier, Item(text(described.get("title")), names, text(described.get("brand"))))
        else:
            raise source.fault(1, f"the entry of item {identifier!r} is no object", "correct or delete it")
    return texts


def _read_codes(source: FileContent) -> dict[str, tuple[int, ...]]:
    codes = {}
    for identifier, words in _entries(source):
        matches = [CODE.fullmatch(str(word)) for word in words] if isinstance(words, list) else []
        if not matches or None in matches:
            said = f"the semantic ID of item {identifier!r} is {str(words)[:60]}"
            raise source.fault(1, said, 'write it as ["<a_12>", "<b_3>", ...]')
        codes[identifier] = tuple(int(match[1]) for match in matches if match)
    return codes
