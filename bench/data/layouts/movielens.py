"""GroupLens' MovieLens files with ``::`` between the fields: the zip as published, or unpacked.

``ratings.dat`` reads UserID::MovieID::Rating::Timestamp, ``movies.dat`` MovieID::Title::Genre|Genre, both in
latin-1 (https://files.grouplens.org/datasets/movielens/ml-1m-README.txt). Every rating counts as an
interaction, whatever its stars, as is usual in sequential recommendation.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from bench.data.files import Columns, Content, content, line_numbers, read_table
from bench.data.files import read as read_file
from bench.data.raw import Raw, Texts, number
from bench.data.reading import Reading
from models.errors import UserError
from models.recommender import Item

RATINGS = "ratings.dat"
MOVIES = "movies.dat"
ENCODING = "latin-1"
RATING_COLUMNS = Columns(
    ("user_id", "movie_id", "rating", "timestamp"),
    ("user_id", "movie_id", "timestamp"),
    numeric=frozenset({"timestamp"}),
    filled=frozenset({"user_id", "movie_id"}),
)
MOVIE_COLUMNS = Columns(
    ("movie_id", "title", "genres"), ("movie_id", "title", "genres"), filled=frozenset({"movie_id"})
)


def find(path: Path, reading: Reading) -> tuple[Path, ...]:
    """Return the zip, or the two files, or none."""
    if path.is_file():
        return (path,) if path.suffix == ".zip" else ()
    pair = (path / RATINGS, path / MOVIES)
    if all(file.is_file() for file in pair):
        return pair
    return tuple(sorted(path.glob("ml-*.zip"))[:1])


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read the zip or the two files.

    Raises:
        UserError: They are not as described above, or the zip has members outside of its folder.

    """
    ratings, movies = _open_zip(files[0]) if len(files) == 1 else map(read_file, files)
    table = read_table(ratings, RATING_COLUMNS, separator="::", encoding=ENCODING)
    users, user_ids = number(table["user_id"])
    numbers, item_ids = number(table["movie_id"])
    texts = Texts()
    described = read_table(movies, MOVIE_COLUMNS, separator="::", encoding=ENCODING)
    for identifier, title, genres in described.itertuples(index=False):
        texts.add(identifier, Item(title.strip(), tuple(genre for genre in genres.split("|") if genre)))
    return Raw(
        users=users,
        items=numbers,
        order=table["timestamp"].to_numpy(),
        lines=line_numbers(len(table)),
        user_ids=user_ids,
        item_ids=item_ids,
        texts=texts,
        interactions_label=ratings.label,
        items_label=movies.label,
        warnings=texts.warnings(movies.label),
        timed=True,
    )


def _open_zip(path: Path) -> tuple[Content, Content]:
    """Read the two members in place; nothing is unpacked, and still no member may climb out."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                member = PurePosixPath(name.replace("\\", "/"))
                if member.is_absolute() or ".." in member.parts or ":" in "".join(member.parts[:1]):
                    raise UserError(
                        f"{path}: member {name!r} climbs out of its folder; do not trust this file, fetch it anew"
                    )
            return _member(path, archive, RATINGS), _member(path, archive, MOVIES)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise UserError(f"{path}: no whole zip file ({error}); delete it and fetch it anew") from error


def _member(path: Path, archive: zipfile.ZipFile, wanted: str) -> Content:
    name = next((name for name in archive.namelist() if PurePosixPath(name).name == wanted), None)
    if name is None:
        raise UserError(f"{path}: has no {wanted}; give the zip that GroupLens publishes, such as ml-1m.zip")
    return content(f"{path}, member {name}", archive.read(name))
