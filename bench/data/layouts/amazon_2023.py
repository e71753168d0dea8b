"""Amazon reviews of 2023 (Hou et al., https://arxiv.org/abs/2403.03952).

``CATEGORY.jsonl.gz`` has one JSON object a review: ``user_id``, ``parent_asin``, ``timestamp`` in milliseconds.
``meta_CATEGORY.jsonl.gz`` has one an item: ``parent_asin``, ``title``, ``categories``, and ``store``, read as brand.
Items are told apart by ``parent_asin``, under which the colours and sizes of a product stand together.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.layouts.amazon import Fields, metadata_reader, read_reviews
from bench.data.layouts.amazon_2018 import find_reviews
from bench.data.place import DataPlace
from bench.data.raw import Raw
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker

REVIEWS = re.compile(r"(?!meta_)(?P<NAME>.+)\.jsonl")
METADATA = "meta_{}.jsonl"
EDITION = Fields(user="user_id", item="parent_asin", time="timestamp", brand="store")


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return reviews and, where it is there, metadata; or none.

    Raises:
        UserError: There are several files of reviews.

    """
    return find_reviews(place, REVIEWS, EDITION, METADATA)


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read reviews and metadata; items that the metadata lacks have no text.

    Raises:
        UserError: One of them is not as described above.

    """
    unpacker = Unpacker(reading)
    events = read_reviews(unpacker.read(files[0]), EDITION)
    return events.raw(metadata_reader(unpacker, files[1:], EDITION), complete=True)
