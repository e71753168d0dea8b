"""GroupLens' MovieLens 100K: the zip as published, or unpacked.

``u.data`` reads user <tab> item <tab> rating <tab> timestamp, without a header. ``u.item`` has bars between its
fields, in latin-1: the number, title, two dates, an address, and a flag for each genre, which ``u.genre`` names
(https://files.grouplens.org/datasets/movielens/ml-100k-README.txt).
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.files import Columns, FileContent, line_numbers, read_table
from bench.data.layouts.movielens import encoding_of, ratings_and_movies
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from models.catalogue import Item

RATINGS = re.compile(r"(?P<NAME>u)\.data")
MOVIES = "u.item"
GENRES = "u.genre"
UNKNOWN = "unknown"
USUAL_GENRES = (
    *(UNKNOWN, "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
RATING_COLUMNS = Columns(
    ("user_id", "item_id", "rating", "timestamp"),
    ("user_id", "item_id", "timestamp"),
    numeric=frozenset({"timestamp"}),
    filled=frozenset({"user_id", "item_id"}),
)
BEFORE_FLAGS = ("item_id", "title", "released", "on video", "address")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return ratings, items and, where it is there, the names of the genres; or none.

    Raises:
        UserError: There are ratings but no items.

    """
    files = ratings_and_movies(place, RATINGS, MOVIES)
    genres = place.beside(GENRES)
    return (*files, genres) if files and genres else files


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the files.

    Raises:
        UserError: One is not as described above.

    """
    unpacker = Unpacker(reading)
    ratings, movies = map(unpacker.read, files[:2])
    genres = _genres(unpacker.read(files[2])) if len(files) > 2 else USUAL_GENRES  # noqa: PLR2004 - the third file
    table = read_table(ratings, RATING_COLUMNS)
    return Events(
        label=ratings.label,
        users=table["user_id"],
        items=table["item_id"],
        order=table["timestamp"].to_numpy(),
        lines=line_numbers(len(table)),
    ).raw(_texts(movies, genres))


def _genres(source: FileContent) -> tuple[str, ...]:
    """Return the genres in the order of their flags; the file reads ``Action|1``."""
    return tuple(row.decode("latin-1").partition("|")[0] for _, row in source.lines if row.strip())


def _texts(source: FileContent, genres: tuple[str, ...]) -> Texts:
    flags = source.data.partition(b"\n")[0].count(b"|") + 1 - len(BEFORE_FLAGS)
    if not 0 <= flags <= len(genres):
        wanted = f"{len(BEFORE_FLAGS)} columns and a flag for each of {len(genres)} genres"
        raise source.fault(1, f"{flags + len(BEFORE_FLAGS)} columns instead of {wanted}", "fetch a whole copy")
    names = (*BEFORE_FLAGS, *genres[:flags])
    used = ("item_id", "title", *genres[:flags])
    table = read_table(
        source, Columns(names, used, filled=frozenset({"item_id"})), separator="|", encoding=encoding_of(source)
    )
    texts = Texts(source.label)
    for identifier, title, *set_flags in table.itertuples(index=False, name=None):
        named = (genre for genre, flag in zip(genres, set_flags, strict=False) if flag == "1" and genre != UNKNOWN)
        texts.add(identifier, Item(title.strip(), tuple(named)))
    return texts
