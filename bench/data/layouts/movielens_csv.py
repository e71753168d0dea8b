"""GroupLens' MovieLens 20M, 25M, 32M and latest: the zip as published, or unpacked.

``ratings.csv`` has the columns userId, movieId, rating, timestamp; ``movies.csv`` movieId, title, genres, quoted
where a title has a comma (https://files.grouplens.org/datasets/movielens/ml-25m-README.html).
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.csvs import read_csv
from bench.data.layouts.movielens import ratings_and_movies
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from models.catalogue import Item

RATINGS = re.compile(r"(?P<NAME>ratings)\.csv")
MOVIES = "movies.csv"
NO_GENRES = "(no genres listed)"


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the two files, or none: ``ratings.csv`` alone may be anybody's table."""
    return ratings_and_movies(place, RATINGS, MOVIES) if place.beside(MOVIES) else ()


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the two files.

    Raises:
        UserError: They are not as described above.

    """
    unpacker = Unpacker(reading)
    ratings, movies = map(unpacker.read, files)
    table = read_csv(ratings, ("userId", "movieId"), time="timestamp")
    described = read_csv(movies, ("movieId",), optional=("title", "genres"))
    texts = Texts(movies.label)
    for identifier, title, genres in zip(
        *(described.cells[name] for name in ("movieId", "title", "genres")), strict=True
    ):
        named = (genre for genre in genres.split("|") if genre and genre != NO_GENRES)
        texts.add(identifier, Item(title.strip(), tuple(named)))
    return Events(
        label=ratings.label,
        users=table.cells["userId"],
        items=table.cells["movieId"],
        order=table.order,
        lines=table.lines,
    ).raw(texts)
