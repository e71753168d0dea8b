"""Amazon's reviews of 2014, 2018 and 2023, and the benchmark files of 2023."""

import gzip
import json

import pytest

from bench import data
from models.catalogue import Item
from tests.bench.data.conftest import ROWS, sequences, texts, write_amazon, write_gzip
from tests.bench.data.test_bad_input import failure


def lines(objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


REVIEWS_2018 = lines(
    {"reviewerID": user, "asin": item, "unixReviewTime": time, "overall": 5.0, "reviewText": "half \ud800"}
    for user, item, time in ROWS
)
META_2018 = lines(
    [
        {
            "asin": "a",
            "title": "Soap &amp; Co",
            "category": ["Beauty", "Bath &amp; Body"],
            "brand": None,
            "price": None,
        },
        {"asin": "b", "title": "Brush", "category": [], "brand": "L'Un", "similar": True},
        {"asin": "never reviewed", "title": "x"},
    ]
)
REVIEWS_2023 = lines(
    {"rating": 5.0, "asin": f"{item}-red", "parent_asin": item, "user_id": user, "timestamp": 1588687728923 + time}
    for user, item, time in ROWS
)
META_2023 = lines(
    {"main_category": "All Beauty", "parent_asin": item, "title": f"T {item}", "categories": ["X"], "store": "S"}
    for item in "abc"
)


def test_2014_may_lack_its_compression_and_its_core(tmp_path):
    write_amazon(tmp_path / "toys")
    for name, renamed in (("reviews_Beauty_5", "reviews_Beauty"), ("meta_Beauty", "meta_Beauty")):
        path = tmp_path / "toys" / f"{name}.json.gz"
        text = gzip.decompress(path.read_bytes())
        path.unlink()
        (path.parent / f"{renamed}.json.gz").write_bytes(text)
    loaded = data.load(str(tmp_path / "toys"))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded)["b"] == Item("", ("Beauty",), "L'Un")


@pytest.mark.parametrize("core", ["_5", ""])
def test_2018_reads_json_and_half_characters_do_no_harm(tmp_path, core):
    write_gzip(tmp_path / "toys" / f"Toys{core}.json.gz", REVIEWS_2018)
    write_gzip(tmp_path / "toys" / "meta_Toys.json.gz", META_2018)
    loaded = data.load(str(tmp_path / "toys"))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded) == {
        "a": Item("Soap & Co", ("Beauty", "Bath & Body")),
        "b": Item("Brush", (), "L'Un"),
        "c": Item(),
    }
    assert loaded.source.options["layout"] == "amazon-2018"
    said = "\n".join(loaded.source.warnings)
    assert "6 lines hold halves of characters, replaced by U+FFFD" in said
    assert "meta_Toys.json.gz: 1 items that occur are not described" in said


@pytest.mark.parametrize("packed", [".gz", ""])
@pytest.mark.parametrize("given", ["folder", "file"])
def test_2023_takes_parent_items_milliseconds_and_stores(tmp_path, packed, given):
    folder = tmp_path / "beauty"
    for name, text in (("All_Beauty.jsonl", REVIEWS_2023), ("meta_All_Beauty.jsonl", META_2023)):
        path = write_gzip(folder / (name + packed), text)
        if not packed:
            path.write_text(text)
    loaded = data.load(str(folder if given == "folder" else folder / f"All_Beauty.jsonl{packed}"))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded)["a"] == Item("T a", ("X",), "S")
    assert loaded.name == ("beauty" if given == "folder" else "All_Beauty")


PARTS = {"train": ("anna", 1), "valid": ("anna", 2), "test": ("anna", 3)}
HEADER = "user_id,parent_asin,rating,timestamp"
ASINS = [f"B00000000{place}" for place in range(5)]
EVENTS = [("U1", [0, 1, 2, 3]), ("U2", [4, 2, 0])]


def benchmark(folder, *, history, header, parts=("train", "valid", "test")):
    """Write the parts as the publisher's `last_out_split.py` does."""
    folder.mkdir()
    rows = {"train": [], "valid": [], "test": []}
    for user, items in EVENTS:
        for place, item in enumerate(items):
            part = {len(items) - 1: "test", len(items) - 2: "valid"}.get(place, "train")
            cells = [user, ASINS[item], "5.0", str(1588687728923 + place)]
            rows[part].append(",".join(cells + ([" ".join(ASINS[item] for item in items[:place])] if history else [])))
    top = [HEADER + (",history" if history else "")] if header else []
    for part in parts:
        (folder / f"Toys.{part}.csv").write_text("\n".join(top + rows[part]) + "\n")
    return folder


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("header", [False, True])
def test_benchmark_parts_are_put_together(tmp_path, history, header):
    loaded = data.load(str(benchmark(tmp_path / "toys", history=history, header=header)))
    wanted = ["".join(ASINS[item] for item in items) for _, items in EVENTS]
    assert sorted(sequences(loaded)) == sorted(wanted)
    assert loaded.source.options["layout"] == "amazon-benchmark"


def test_benchmark_histories_stand_in_for_parts_that_are_missing(tmp_path):
    folder = benchmark(tmp_path / "toys", history=True, header=True, parts=("test",))
    write_gzip(folder / "meta_Toys.jsonl.gz", META_2023)
    assert sorted(sequences(data.load(str(folder)))) == sorted(
        "".join(ASINS[item] for item in items) for _, items in EVENTS
    )


def test_benchmark_in_one_file_comes_before_its_parts(tmp_path):
    folder = benchmark(tmp_path / "toys", history=False, header=True)
    (folder / "Toys.csv").write_text(HEADER + "\n" + "".join(f"V,{ASINS[n]},1,{n}\n" for n in range(3)))
    assert data.load(str(folder)).users == 1
    assert data.load(str(folder / "Toys.valid.csv")).users == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"user_id": "u", "parent_asin": "a"}', "no object with user_id, parent_asin, timestamp"),
        (f'{{"user_id": "u", "parent_asin": "a", "timestamp": {10**20}}}', "timestamp is 1000"),
        ('{"user_id": "u", "parent_asin": "a", "timestamp": 1', "invalid JSON"),
    ],
)
def test_bad_line_of_2023(tmp_path, row, problem):
    write_gzip(tmp_path / "b" / "B.jsonl.gz", REVIEWS_2023 + row + "\n")
    assert f"B.jsonl.gz, line 7: {problem}" in failure(tmp_path / "b")


def test_several_categories(tmp_path):
    for name in ("A", "B"):
        write_gzip(tmp_path / "x" / f"{name}.jsonl.gz", REVIEWS_2023)
    assert "several files of reviews (A.jsonl.gz, B.jsonl.gz); give the path of one of them" in failure(tmp_path / "x")
