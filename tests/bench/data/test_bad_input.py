"""Each bad input gives one line with the file, the line and the remedy."""

import gzip
import re
import zipfile

import pytest

from bench import data
from bench.data.files import sha256
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker
from models.errors import UserError

from .conftest import (
    MOVIES,
    RATINGS,
    ROWS,
    write_amazon,
    write_gzip,
    write_movielens_zip,
    write_pair,
    write_recbole,
)


def failure(name, **options):
    """Return the message, which is one line."""
    with pytest.raises(UserError) as raised:
        data.load(str(name), **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def broken_pair(folder, text):
    write_pair(folder)
    write_gzip(folder / "interactions.tsv.gz", text)
    return failure(folder)


GOOD = "".join("\t".join(map(str, row)) + "\n" for row in ROWS)


def test_truncated_gzip(tmp_path):
    rows = [(f"user{number}", f"item{number * 7919 % 977}", number) for number in range(5000)]
    path = write_pair(tmp_path / "shop", rows) / "interactions.tsv.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    message = failure(tmp_path / "shop")
    line = int(re.search(r"interactions\.tsv\.gz, line (\d+): the gzip file is truncated", message)[1])
    assert 1000 < line < 5000
    assert "fetch a whole copy" in message


def test_damaged_gzip(tmp_path):
    path = write_pair(tmp_path / "shop") / "interactions.tsv.gz"
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)  # wrong check sum and length
    assert "interactions.tsv.gz, line 7: the gzip file is damaged" in failure(tmp_path / "shop")


def test_neither_gzip_nor_text(tmp_path):
    path = write_pair(tmp_path / "shop") / "interactions.tsv.gz"
    path.write_bytes(b"\x1f\0\0\0")
    assert "interactions.tsv.gz: neither a gzip file nor text; fetch a whole copy" in failure(tmp_path / "shop")


@pytest.mark.parametrize("row", ["cora\ta", "cora\ta\t1\t2", ""])
def test_wrong_column_count(tmp_path, row):
    message = broken_pair(tmp_path / "shop", f"{GOOD}{row}\n{GOOD}")
    assert f"interactions.tsv.gz, line 7: {len(row.split(chr(9)))} columns instead of 3" in message


def test_two_wrong_column_counts_that_cancel_out(tmp_path):
    message = broken_pair(tmp_path / "shop", f"{GOOD}cora\ta\ncora\ta\t1\t2\n")
    assert "line 7: 2 columns instead of 3" in message


@pytest.mark.parametrize("order", ["first", "", "nan", "inf", "0x10", "1e999"])
def test_non_numeric_order(tmp_path, order):
    message = broken_pair(tmp_path / "shop", f"{GOOD}cora\ta\t{order}\n{GOOD}")
    assert f"interactions.tsv.gz, line 7: order is {order!r}, not a number; correct or delete" in message


def test_empty_identifier(tmp_path):
    assert "line 7: item_id is empty; fill it in" in broken_pair(tmp_path / "shop", f"{GOOD}cora\t\t1\n")


def test_text_that_is_not_utf_8(tmp_path):
    write_pair(tmp_path / "shop")
    (tmp_path / "shop" / "interactions.tsv.gz").write_bytes(gzip.compress(GOOD.encode() + b"\xff\ta\t1\n"))
    assert "interactions.tsv.gz, line 7: not utf-8 text; save the file as utf-8" in failure(tmp_path / "shop")


def test_unknown_item(tmp_path):
    folder = write_pair(tmp_path / "shop", items=[{"item_id": "a"}, {"item_id": "b"}])
    message = failure(folder)
    assert "interactions.tsv.gz, line 3: item 'c' is not in" in message
    assert "items.jsonl.gz; add it there or delete its interactions (3 in all)" in message


def test_no_user_long_enough(tmp_path):
    folder = write_pair(tmp_path / "shop", [("u", "a", 1), ("u", "b", 2), ("v", "a", 1)])
    message = failure(folder)
    assert "interactions.tsv.gz, lines 1 to 3: no user has at least 3 interactions; give longer histories" in message


def test_minimum_count_that_leaves_nothing(tmp_path):
    assert "lower min_count, which is 50" in failure(write_pair(tmp_path / "shop"), min_count=50)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"item_id": "b"', "invalid JSON"),
        ('["b"]', "no object, {...}"),
        ('{"item_id": "b", "categories": "X"}', "categories is no list"),
        ("", "invalid JSON"),
    ],
)
def test_bad_item_line(tmp_path, row, problem):
    folder = write_pair(tmp_path / "shop", items=['{"item_id": "a"}', row, '{"item_id": "c"}'])
    assert f"items.jsonl.gz, line 2: {problem}" in failure(folder)


def test_bad_utf_8_in_items(tmp_path):
    folder = write_pair(tmp_path / "shop")
    (folder / "items.jsonl.gz").write_bytes(gzip.compress(b'{"item_id": "a"}\n{"item_id": "\xff"}\n'))
    assert "items.jsonl.gz, line 2: invalid JSON" in failure(folder)


def test_empty_file(tmp_path):
    assert "interactions.tsv.gz, line 1: the file is empty" in broken_pair(tmp_path / "shop", "")


def test_missing_items_file(tmp_path):
    folder = write_pair(tmp_path / "shop")
    (folder / "items.jsonl.gz").unlink()
    assert "items.jsonl.gz is missing; put it beside interactions.tsv.gz" in failure(folder)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user_id:token\titem_id:token\nu\ta\n", "line 1: no column timestamp"),
        ("u\ta\t1\n", "line 1: the header does not read name:type"),
        ("user_id:token\titem_id:token\ttimestamp:float\n", "line 2: no row after the header"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ta\tnow\n", "line 2: timestamp is 'now'"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ta\n", "line 2: 2 columns instead of 3"),
        ("user_id:token\titem_id:token\ttimestamp:float\titem_id:token\nu\ta\t1\ta\n", "line 1: two columns"),
    ],
)
def test_bad_atomic_file(tmp_path, text, problem):
    assert f"tiny.inter, {problem}" in failure(write_recbole(tmp_path / "tiny", text))


def test_several_atomic_files(tmp_path):
    write_recbole(tmp_path / "tiny", "x", name="one")
    write_recbole(tmp_path / "tiny", "x", name="two")
    assert "several .inter files (one.inter, two.inter); give the path of one" in failure(tmp_path / "tiny")


def test_bad_ratings_inside_a_zip(tmp_path):
    members = {"ml-1m/ratings.dat": RATINGS + "u::a::5::late\n", "ml-1m/movies.dat": MOVIES}
    path = write_movielens_zip(tmp_path / "ml-1m.zip", members)
    assert "ml-1m.zip, member ml-1m/ratings.dat, line 7: timestamp is 'late', not a number" in failure(path)


@pytest.mark.parametrize("member", ["../evil.txt", "/etc/evil", "ml-1m/../../evil", "C:\\evil", "..\\evil"])
def test_zip_whose_members_climb_out(tmp_path, member):
    members = {"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES, member: "x"}
    path = write_movielens_zip(tmp_path / "ml-1m.zip", members)
    assert "climbs out of its folder" in failure(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ml-1m.zip"]


def test_no_zip(tmp_path):
    path = tmp_path / "ml-1m.zip"
    path.write_text("<html>not found</html>")
    assert "ml-1m.zip: no whole zip file" in failure(path)


def test_truncated_zip(tmp_path):
    path = write_movielens_zip(tmp_path / "ml-1m.zip")
    path.write_bytes(path.read_bytes()[:-30])
    assert "no whole zip file" in failure(path)


def test_zip_with_damaged_member(tmp_path):
    path = write_movielens_zip(tmp_path / "ml-1m.zip")
    path.write_bytes(path.read_bytes().replace(b"anna::b", b"anna::x"))
    assert "no whole zip file (Bad CRC-32" in failure(path)


def test_zip_of_something_else(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "other.zip: no data in a layout that can be read" in failure(path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{'reviewerID': 'u'", "no Python literal"),
        ("not an object", "invalid JSON (expected ident at column 2); correct or delete the line"),
        ('{"reviewerID": "u", "asin": "", "unixReviewTime": 1}', "asin is empty"),
        ('{"reviewerID": "u", "asin": "a", "unixReviewTime": 1' + "0" * 20 + "}", "unixReviewTime is 1000000"),
        ('{"reviewerID": "u", "asin": "a", "unixReviewTime": NaN}', "unixReviewTime is nan, not a number"),
        ('{"reviewerID": "u", "asin": "a", "unixReviewTime": true}', "unixReviewTime is True, not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"reviewerID": ' + "[" * 100_000, "nested too deeply"),
        ('{"reviewerID": "u", "asin": "a"}', "no object with reviewerID, asin, unixReviewTime"),
        ('{"reviewerID": "u", "asin": "a", "unixReviewTime": "May"}', "unixReviewTime is 'May', not a number"),
    ],
)
def test_bad_review(tmp_path, row, problem):
    folder = write_amazon(tmp_path / "beauty", reviews=[row])
    assert f"reviews_Beauty_5.json.gz, line 1: {problem}" in failure(folder)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{'title': 'x'}", "no 'asin'"),
        ("{'asin': 'a', 'title': open('x')}", "no Python literal"),
        ("{'asin': 'a', 'title':", "no Python literal"),
        ("['asin', {'asin': 'a'}]", "invalid JSON"),
        ("{'asin': 'a', 'title': " + "[" * 100_000, "no Python literal"),
    ],
)
def test_bad_metadata(tmp_path, row, problem):
    folder = write_amazon(tmp_path / "beauty", metadata=["{'asin': 'b'}", row, "{'asin': 'c'}"])
    assert f"meta_Beauty.json.gz, line 2: {problem}" in failure(folder)


def test_reviews_without_metadata(tmp_path):
    folder = write_amazon(tmp_path / "beauty")
    (folder / "meta_Beauty.json.gz").unlink()
    assert "meta_Beauty.json.gz is missing" in failure(folder)


def test_missing_data_folder(tmp_path, monkeypatch):
    assert f"--data-dir {tmp_path / 'no'}: there is no such folder" in failure("ml-1m", data_dir=tmp_path / "no")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no"))
    assert f"BENCH_DATA {tmp_path / 'no'}: there is no such folder" in failure("ml-1m")


@pytest.mark.parametrize("name", ["./no/folder", "no.inter"])
def test_missing_path(name):
    assert f"{name}: there is no such file or folder; check the path" in failure(name)


def test_unknown_name_lists_the_known_ones(tmp_path):
    message = failure("netflix", data_dir=tmp_path)
    assert f"no folder {tmp_path / 'netflix'}" in message
    assert "synthetic, ml-1m, beauty, sports, toys" in message


def test_folder_without_data_lists_the_layouts(tmp_path):
    (tmp_path / "empty").mkdir()
    message = failure(tmp_path / "empty")
    assert "interactions.tsv.gz + items.jsonl.gz; NAME.inter[.json] + NAME.index.json" in message


@pytest.mark.parametrize(
    ("options", "name"),
    [({"min_count": -1}, "min_count -1"), ({"max_history": 0}, "max_history 0"), ({"items": 3}, "items 3")],
)
def test_option_out_of_range(options, name):
    assert failure("synthetic", **options).startswith(f"{name}: input should be greater than or equal to")


def test_size_of_data_from_files(tmp_path):
    assert "only the dataset synthetic has a size" in failure(write_pair(tmp_path / "shop"), users=5)


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"is a folder, not a file; give the path of a file"):
        Unpacker(Reading()).read(tmp_path)
    with pytest.raises(UserError, match=r"no: cannot be read \(No such file or directory\); check the path"):
        sha256(tmp_path / "no")
