"""GroupLens' MovieLens 1M and 10M, with ``::`` between the fields: the zip as published, or unpacked.

``ratings.dat`` reads UserID::MovieID::Rating::Timestamp, ``movies.dat`` MovieID::Title::Genre|Genre
(https://files.grouplens.org/datasets/movielens/ml-1m-README.txt), in latin-1 (1M) or UTF-8 (10M). Every rating counts
as an interaction, whatever its stars, as is usual in sequential recommendation.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.files import Columns, FileContent, line_numbers, read_table
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from models.catalogue import Item
from models.errors import UserError

RATINGS = re.compile(r"(?P<NAME>ratings)\.dat")
MOVIES = "movies.dat"
RATING_COLUMNS = Columns(
    ("user_id", "movie_id", "rating", "timestamp"),
    ("user_id", "movie_id", "timestamp"),
    numeric=frozenset({"timestamp"}),
    filled=frozenset({"user_id", "movie_id"}),
)
MOVIE_COLUMNS = Columns(
    ("movie_id", "title", "genres"), ("movie_id", "title", "genres"), filled=frozenset({"movie_id"})
)


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return the two files, or none.

    Raises:
        UserError: There are ratings but no movies.

    """
    return ratings_and_movies(place, RATINGS, MOVIES)


def ratings_and_movies(place: DataPlace, ratings: re.Pattern[str], movies: str) -> tuple[Path, ...]:
    """Return the file of ratings and that of movies beside it, or none.

    Raises:
        UserError: There are ratings but no movies.

    """
    chosen = place.one(ratings, "files of ratings")
    if chosen is None:
        return ()
    described = place.beside(movies)
    if described is None:
        raise UserError(f"{place.path}: {movies} is missing; put it beside {chosen[1].name}")
    return chosen[1], described


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the two files.

    Raises:
        UserError: They are not as described above.

    """
    unpacker = Unpacker(reading)
    ratings, movies = map(unpacker.read, files[:2])
    table = read_table(ratings, RATING_COLUMNS, separator="::", encoding="latin-1")
    texts = Texts(movies.label)
    described = read_table(movies, MOVIE_COLUMNS, separator="::", encoding=encoding_of(movies))
    for identifier, title, genres in described.itertuples(index=False):
        texts.add(identifier, Item(title.strip(), tuple(genre for genre in genres.split("|") if genre)))
    return Events(
        label=ratings.label,
        users=table["user_id"],
        items=table["movie_id"],
        order=table["timestamp"].to_numpy(),
        lines=line_numbers(len(table)),
    ).raw(texts)


def encoding_of(source: FileContent) -> str:
    """Return UTF-8 where a file is that, else latin-1, which everything is."""
    try:
        source.data.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
