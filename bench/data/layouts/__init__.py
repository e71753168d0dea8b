"""The layouts of files that can be read, in the order in which a folder is searched for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.data.layouts import (
    amazon,
    amazon_2018,
    amazon_2023,
    amazon_benchmark,
    movielens,
    movielens_100k,
    movielens_csv,
    pair,
    pairs,
    recbole,
    recbole_split,
    semantic_ids,
    sequences,
    table,
)
from bench.data.place import DataPlace
from bench.data.raw import Raw
from bench.data.reading import Reading
from models.errors import UserError


@dataclass(frozen=True)
class Layout:
    """One way in which interactions and items are kept in files.

    Attributes:
        name: As records state it.
        files: What the files are called, for messages.
        find: Returns the files of this layout in a folder, a zip or beside a file, none if it is another one.
        read: Reads those files.

    """

    name: str
    files: str
    find: Callable[[DataPlace], tuple[Path, ...]]
    read: Callable[[tuple[Path, ...], Reading], Raw]


TABLE = Layout("table", "a Parquet, CSV or JSON lines file with user_id, item_id, timestamp", table.find, table.read)

LAYOUTS = (
    Layout("pair", "interactions.tsv.gz + items.jsonl.gz", pair.find, pair.read),
    Layout(
        "semantic-ids", "NAME.inter[.json] + NAME.index.json + NAME.item.json", semantic_ids.find, semantic_ids.read
    ),
    Layout("recbole", "NAME.inter + NAME.item", recbole.find, recbole.read),
    Layout("recbole-split", "NAME.train.inter + .valid.inter + .test.inter", recbole_split.find, recbole_split.read),
    Layout("movielens", "ratings.dat + movies.dat, or ml-*.zip", movielens.find, movielens.read),
    Layout("movielens-100k", "u.data + u.item", movielens_100k.find, movielens_100k.read),
    Layout("movielens-csv", "ratings.csv + movies.csv", movielens_csv.find, movielens_csv.read),
    Layout("amazon", "reviews_CATEGORY_5.json.gz + meta_CATEGORY.json.gz", amazon.find, amazon.read),
    Layout("amazon-2018", "CATEGORY_5.json.gz + meta_CATEGORY.json.gz", amazon_2018.find, amazon_2018.read),
    Layout("amazon-2023", "CATEGORY.jsonl.gz + meta_CATEGORY.jsonl.gz", amazon_2023.find, amazon_2023.read),
    Layout("amazon-benchmark", "CATEGORY[.train|.valid|.test].csv", amazon_benchmark.find, amazon_benchmark.read),
    Layout("sequences", "NAME.txt, a user and his items a line", sequences.find, sequences.read),
    Layout("pairs", "NAME.txt, a user and an item a line", pairs.find, pairs.read),
    TABLE,
)


def find_layout(path: Path, reading: Reading) -> tuple[Layout, tuple[Path, ...]]:
    """Return how the files in a folder are laid out, and the files.

    Args:
        path: Path of the folder, of a zip, or of one of the files.
        reading: What the user said of the files; a table is what it speaks of.

    Raises:
        UserError: There is nothing there that can be read.

    """
    place = DataPlace.at(path, reading)
    layouts = (TABLE,) if reading.columns or reading.items or reading.item_columns else LAYOUTS
    for layout in layouts:
        files = layout.find(place)
        if files:
            return layout, files
    zips = place.zips()
    if len(zips) == 1:
        return find_layout(zips[0], reading)
    if len(zips) > 1:
        raise UserError(f"{path}: several zips ({', '.join(file.name for file in zips)}); give the path of one of them")
    readable = "; ".join(layout.files for layout in LAYOUTS)
    raise UserError(
        f"{path}: no data in a layout that can be read; put one of these there: {readable}; "
        "or name the columns of a table by --columns user=..,item=..,time=.."
    )
