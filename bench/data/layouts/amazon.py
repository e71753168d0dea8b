"""Amazon reviews of 2014, the 5-core subsets (McAuley et al., https://arxiv.org/abs/1506.04757).

``reviews_CATEGORY_5.json.gz`` has one JSON object a review: ``reviewerID``, ``asin``, ``unixReviewTime``.
``meta_CATEGORY.json.gz`` has one *Python* literal an item: ``asin``, ``title``, ``categories``, ``brand``.
"""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.files import Content
from bench.data.files import read as read_file
from bench.data.raw import Raw, Texts, number
from bench.data.reading import Reading
from models.errors import UserError
from models.recommender import Item

FIELDS = ("reviewerID", "asin", "unixReviewTime")
ASIN = re.compile(rb"""['"]asin['"]:\s*['"]([^'"]+)['"]""")


def find(path: Path, reading: Reading) -> tuple[Path, ...]:
    """Return reviews and metadata of a folder, or none.

    Raises:
        UserError: There are reviews but no metadata.

    """
    reviews = next(iter(sorted(path.glob("reviews_*_5.json.gz"))), None) if path.is_dir() else None
    if reviews is None:
        return ()
    category = reviews.name.removeprefix("reviews_").removesuffix("_5.json.gz")
    metadata = path / f"meta_{category}.json.gz"
    if not metadata.is_file():
        raise UserError(f"{path}: {metadata.name} is missing; put it beside {reviews.name}")
    return reviews, metadata


def read(files: tuple[Path, ...], reading: Reading) -> Raw:
    """Read reviews and metadata.

    Raises:
        UserError: One of them is not as described above.

    """
    reviews = read_file(files[0])
    users, asins, times = [], [], []
    for line, row in reviews.lines:
        user, asin, time = _review(reviews, line, row)
        users.append(user)
        asins.append(asin)
        times.append(time)
    user_numbers, user_ids = number(users)
    numbers, item_ids = number(asins)
    metadata = read_file(files[1])
    texts = _read_metadata(metadata, frozenset(item_ids))
    return Raw(
        users=user_numbers,
        items=numbers,
        order=np.array(times, dtype=np.float64),
        lines=np.arange(1, len(times) + 1, dtype=np.int64),
        user_ids=user_ids,
        item_ids=item_ids,
        texts=texts,
        interactions_label=reviews.label,
        items_label=metadata.label,
        warnings=texts.warnings(metadata.label),
        timed=True,
    )


def _review(source: Content, line: int, row: bytes) -> tuple[str, str, float]:
    try:
        review = json.loads(row)
    except ValueError as error:
        raise source.fault(line, f"invalid JSON ({error})", "fetch a whole copy of the file") from error
    if not isinstance(review, dict) or any(name not in review for name in FIELDS):
        raise source.fault(line, f"no object with {', '.join(FIELDS)}", "correct or delete the line")
    time = review["unixReviewTime"]
    if isinstance(time, bool) or not isinstance(time, int | float) or not np.isfinite(time):
        raise source.fault(line, f"unixReviewTime is {time!r}, not a number", "correct or delete the line")
    return str(review["reviewerID"]), str(review["asin"]), float(time)


def _read_metadata(source: Content, wanted: frozenset[str]) -> Texts:
    """Read the items that are wanted: most of the file describes others, and literals are slow to evaluate."""
    texts = Texts()
    for line, row in source.lines:
        match = ASIN.search(row)
        if match is None:
            raise source.fault(line, "no 'asin'", "correct or delete the line")
        identifier = match[1].decode("utf-8", "replace")
        if identifier in wanted:
            texts.add(identifier, _item(source, line, row))
    return texts


def _item(source: Content, line: int, row: bytes) -> Item:
    try:
        described: Any = ast.literal_eval(row.decode())
        title = html.unescape(described.get("title") or "").strip()
        brand = html.unescape(described.get("brand") or "").strip()
        paths: list[list[str]] = described.get("categories") or []
        names = dict.fromkeys(html.unescape(name).strip() for path in paths for name in path)
    except (ValueError, SyntaxError, AttributeError, TypeError, MemoryError, RecursionError) as error:
        raise source.fault(line, "no Python literal with title, categories, brand", "fetch a whole copy") from error
    return Item(title, tuple(name for name in names if name), brand)
