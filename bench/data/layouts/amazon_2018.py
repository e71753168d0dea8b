"""Amazon reviews of 2018 (Ni et al., https://aclanthology.org/D19-1018), all of a category or its 5-core.

``CATEGORY_5.json.gz`` or ``CATEGORY.json.gz`` has one JSON object a review, with the fields of 2014.
``meta_CATEGORY.json.gz`` has one JSON object an item: ``asin``, ``title``, ``category``, ``brand``.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.layouts.amazon import Fields, metadata_reader, read_reviews
from bench.data.place import DataPlace
from bench.data.raw import Raw
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker, head

REVIEWS = re.compile(r"(?!meta_|reviews_)(?P<NAME>.+?)(_5)?\.json")
EDITION = Fields(categories="category")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return reviews and, where it is there, metadata; or none.

    Raises:
        UserError: There are several files of reviews.

    """
    return find_reviews(place, REVIEWS, EDITION, "meta_{}.json")


def find_reviews(place: DataPlace, pattern: re.Pattern[str], fields: Fields, metadata: str) -> tuple[Path, ...]:
    """Return the file of reviews whose first line has the fields of an edition, and its metadata, if any.

    Args:
        place: Where.
        pattern: Pattern of the names of reviews.
        fields: What every review of that edition has.
        metadata: The name of the metadata, with ``{}`` for that of the category.

    """
    paths = place.matching(pattern)
    names = [f'"{name}"'.encode() for name in fields.of_reviews]
    kept = {category: path for category, path in paths.items() if all(name in _first_line(path) for name in names)}
    chosen = place.only(kept).one(pattern, "files of reviews")
    if chosen is None:
        return ()
    category, reviews = chosen
    described = place.beside(metadata.format(category))
    return (reviews, described) if described else (reviews,)


def _first_line(path: Path) -> bytes:
    return head(path).partition(b"\n")[0]


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read reviews and metadata; items that the metadata lacks have no text.

    Raises:
        UserError: One of them is not as described above.

    """
    unpacker = Unpacker(reading)
    events = read_reviews(unpacker.read(files[0]), EDITION)
    return events.raw(metadata_reader(unpacker, files[1:], EDITION), complete=True)
