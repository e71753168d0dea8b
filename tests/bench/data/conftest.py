"""Tiny datasets in every layout, and the way to real ones."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

ROWS = [("anna", "a", 1), ("anna", "b", 2), ("anna", "c", 3), ("bert", "c", 1), ("bert", "a", 2), ("bert", "c", 3)]
"""Two users, three items; bert consumes c twice."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    """Give every test its own run-time folder, and hide the user's data."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def real_data():
    """Return the folder with real datasets."""
    folder = os.environ.get("BENCH_DATA")
    if not folder:
        pytest.skip("BENCH_DATA names no folder with real datasets")
    return Path(folder)


def write_gzip(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def write_pair(folder, rows=ROWS, items=None):
    """Write the pair of files; `items` are objects or ready lines."""
    if items is None:
        names = sorted({row[1] for row in rows})
        items = [{"item_id": name, "title": f"Title {name}", "categories": ["X", "Y"], "brand": "B"} for name in names]
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    write_gzip(folder / "interactions.tsv.gz", "".join("\t".join(map(str, row)) + "\n" for row in rows))
    write_gzip(folder / "items.jsonl.gz", "\n".join(lines) + "\n")
    return folder


def write_recbole(folder, inter, item=None, name="tiny"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.inter"
    path.write_text(inter)
    if item is not None:
        path.with_suffix(".item").write_text(item)
    return path


RATINGS = "".join(f"{user}::{item}::5::{time}\n" for user, item, time in ROWS)
MOVIES = "a::Amélie (2001)::Comedy|Romance\nb::Brazil (1985)::Sci-Fi\nc::Casablanca (1942)::Drama\n"


def write_movielens_zip(path, members=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    members = members or {"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text.encode("latin-1"))
    return path


def write_amazon(folder, reviews=None, metadata=None):
    if reviews is None:
        reviews = [
            json.dumps({"reviewerID": user, "asin": item, "unixReviewTime": time, "overall": 5.0})
            for user, item, time in ROWS
        ]
    if metadata is None:
        metadata = [
            "{'asin': 'a', 'title': 'Soap &amp; Co', 'categories': [['Beauty', 'Bath'], ['Beauty', 'Gifts']]}",
            "{'asin': 'b', 'brand': \"L'Un\", 'categories': [['Beauty']]}",
            "{'asin': 'c', 'title': 'Comb', 'price': 3.5, 'categories': [['Beauty']]}",
            "{'asin': 'never reviewed', 'title': 'not even a literal",
        ]
    write_gzip(folder / "reviews_Beauty_5.json.gz", "\n".join(reviews) + "\n")
    write_gzip(folder / "meta_Beauty.json.gz", "\n".join(metadata) + "\n")
    return folder


def sequences(dataset):
    """Return every user's items by their source identifiers."""
    return [
        "".join(dataset.catalogue.ids[item - 1] for item in dataset.sequence(user)) for user in range(dataset.users)
    ]


def texts(dataset):
    """Return every item's text by its source identifier."""
    return dict(zip(dataset.catalogue.ids, dataset.catalogue.items, strict=True))
