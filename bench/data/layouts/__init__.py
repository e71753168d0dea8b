"""The layouts of files that can be read, in the order in which a folder is searched for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.data.layouts import amazon, movielens, pair, recbole
from bench.data.raw import Raw
from bench.data.reading import Reading
from models.errors import UserError


@dataclass(frozen=True)
class Layout:
    """One way in which interactions and items are kept in files.

    Attributes:
        name: As records state it.
        files: What the files are called, for messages.
        find: Returns the files of this layout in a folder or behind a file's path, none if it is another one.
        read: Reads those files.

    """

    name: str
    files: str
    find: Callable[[Path, Reading], tuple[Path, ...]]
    read: Callable[[tuple[Path, ...], Reading], Raw]


LAYOUTS = (
    Layout("pair", "interactions.tsv.gz + items.jsonl.gz", pair.find, pair.read),
    Layout("recbole", "NAME.inter + NAME.item", recbole.find, recbole.read),
    Layout("movielens", "ml-*.zip or ratings.dat + movies.dat", movielens.find, movielens.read),
    Layout("amazon", "reviews_*_5.json.gz + meta_*.json.gz", amazon.find, amazon.read),
)


def find_layout(path: Path, reading: Reading) -> tuple[Layout, tuple[Path, ...]]:
    """Return how the files in a folder are laid out, and the files.

    Args:
        path: Of the folder, or of one of the files.
        reading: What the user said of the files.

    Raises:
        UserError: There is nothing there that can be read.

    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; check the path")
    for layout in LAYOUTS:
        files = layout.find(path, reading)
        if files:
            return layout, files
    known = "; ".join(layout.files for layout in LAYOUTS)
    raise UserError(f"{path}: no data in a layout that can be read; put one of these there: {known}")
