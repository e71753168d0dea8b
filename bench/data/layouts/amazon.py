"""Amazon reviews of 2014 (McAuley et al., https://arxiv.org/abs/1506.04757), usually the 5-core subsets.

``reviews_CATEGORY_5.json.gz`` has one JSON object a review: ``reviewerID``, ``asin``, ``unixReviewTime``.
``meta_CATEGORY.json.gz`` has one *Python* literal an item: ``asin``, ``title``, ``categories``, ``brand``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.files import FileContent, line_numbers
from bench.data.objects import Objects
from bench.data.place import DataPlace
from bench.data.raw import Events, Raw, Texts
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from bench.data.values import categories, is_time, numbers, text
from models.catalogue import Item
from models.errors import UserError

REVIEWS = re.compile(r"reviews_(?P<NAME>.+?)(_5)?\.json")


@dataclass(frozen=True)
class Fields:
    """What the fields of an edition are called.

    Attributes:
        user: Name of the reviewer's field, in reviews.
        item: Name of the item's field, in reviews and metadata.
        time: Name of the time's field, in reviews.
        categories: In metadata.
        brand: In metadata.

    """

    user: str = "reviewerID"
    item: str = "asin"
    time: str = "unixReviewTime"
    categories: str = "categories"
    brand: str = "brand"

    @property
    def of_reviews(self) -> tuple[str, str, str]:
        """Those that every review must have."""
        return self.user, self.item, self.time


EDITION_2014 = Fields()


def find(place: DataPlace) -> tuple[Path, ...]:
    """Return reviews and metadata, or none.

    Raises:
        UserError: There are reviews but no metadata.

    """
    chosen = place.one(REVIEWS, "files of reviews")
    if chosen is None:
        return ()
    category, reviews = chosen
    metadata = place.beside(f"meta_{category}.json")
    if metadata is None:
        raise UserError(f"{place.path}: meta_{category}.json.gz is missing; put it beside {reviews.name}")
    return reviews, metadata


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read reviews and metadata.

    Raises:
        UserError: One of them is not as described above.

    """
    unpacker = Unpacker(reading)
    events = read_reviews(unpacker.read(files[0]), EDITION_2014)
    return events.raw(metadata_reader(unpacker, files[1:], EDITION_2014))


def read_reviews(source: FileContent, fields: Fields) -> Events:
    """Read the reviews of one edition.

    Args:
        source: One JSON object a line.
        fields: What its fields are called.

    Raises:
        UserError: A line is no review.

    """
    users, items, times = [], [], []
    objects = Objects(source)
    for line, row in source.lines:
        review = objects.parse(line, row)
        try:
            user, item, time = (review[name] for name in fields.of_reviews)
        except KeyError:
            wanted = ", ".join(fields.of_reviews)
            raise source.fault(line, f"no object with {wanted}", "correct or delete the line") from None
        if not is_time(time):
            said = f"{fields.time} is {time!r:.60}, not a number of 64 bits"
            raise source.fault(line, said, "correct or delete the line")
        if not user or not item:
            name = fields.item if user else fields.user
            raise source.fault(line, f"{name} is empty", "fill it in or delete the line")
        users.append(str(user))
        items.append(str(item))
        times.append(time)
    return Events(
        label=source.label,
        users=users,
        items=items,
        order=numbers(times),
        lines=line_numbers(len(times)),
        warnings=objects.warnings(),
    )


def metadata_reader(
    unpacker: Unpacker, files: tuple[Path, ...], fields: Fields
) -> Callable[[tuple[str, ...]], Texts] | None:
    """Return what reads the metadata of the items that occur, None where there is no file.

    Most of such a file describes other items, and literals are slow to evaluate.

    Args:
        unpacker: Opens it.
        files: The file, or none.
        fields: What its fields are called.

    """
    if not files:
        return None

    def texts(items: Iterable[str]) -> Texts:
        return _read_metadata(unpacker.read(files[0]), frozenset(items), fields)

    return texts


def _read_metadata(source: FileContent, wanted: frozenset[str], fields: Fields) -> Texts:
    pattern = re.compile(rb"""['"]%b['"]:\s*u?['"]([^'"]+)['"]""" % fields.item.encode())
    texts, objects = Texts(source.label), Objects(source)
    for line, row in source.lines:
        match = pattern.search(row)
        if match is None:
            raise source.fault(line, f"no '{fields.item}'", "correct or delete the line")
        identifier = match[1].decode("utf-8", "replace")
        if identifier in wanted:
            texts.add(identifier, _item(objects.parse(line, row), fields))
    texts.notes += objects.warnings()
    return texts


def _item(described: dict[str, Any], fields: Fields) -> Item:
    names = categories(described.get(fields.categories))
    return Item(
        title=_readable(described.get("title")),
        categories=tuple(dict.fromkeys(filter(None, map(_readable, names)))),
        brand=_readable(described.get(fields.brand)),
    )


def _readable(value: Any) -> str:
    """Return a text without the escapes of the pages that it was taken from."""
    return html.unescape(text(value)).strip()
