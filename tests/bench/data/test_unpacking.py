"""What a file holds is told by its bytes, and nothing is unpacked without bound."""

import codecs
import gzip
import os
import struct
import zipfile

import pandas as pd
import pytest

from bench import data
from bench.data.reading import Reading
from bench.data.unpacking import Unpacker, head

from .conftest import sequences, write_movielens_zip, write_pair, write_recbole
from .test_bad_input import GOOD, failure
from .test_layouts import INTER

ONE_MIB = Reading(max_unpacked=1)


@pytest.mark.parametrize(
    "encoded",
    [codecs.BOM_UTF8 + INTER.encode(), INTER.encode("utf-16"), INTER.replace("\n", "\r\n").encode("utf-8-sig")],
)
def test_byte_order_mark(tmp_path, encoded):
    path = write_recbole(tmp_path / "tiny", INTER)
    path.write_bytes(encoded)
    assert sequences(data.load(str(path))) == ["abc", "ca"]


@pytest.mark.parametrize(
    ("separator", "called"), [(",", "commas"), (" ", "blanks"), (";", "semicolons"), ("|", "bars")]
)
def test_another_separator_is_named(tmp_path, separator, called):
    path = write_recbole(tmp_path / "tiny", INTER.replace("\t", separator))
    assert f"tiny.inter, line 1: the columns are separated by {called}" in failure(path)
    write_pair(tmp_path / "shop")
    (tmp_path / "shop" / "interactions.tsv.gz").write_text(GOOD.replace("\t", separator))
    said = failure(tmp_path / "shop")
    assert f"line 1: the columns are separated by {called}" in said
    assert "where tabs are expected; replace them, throughout the file" in said


def test_content_decides_and_not_the_name(tmp_path):
    folder = write_pair(tmp_path / "shop")
    packed = folder / "interactions.tsv.gz"
    (folder / "interactions.tsv").write_bytes(packed.read_bytes())  # compressed, and not called so
    packed.unlink()
    (folder / "items.jsonl.gz").write_bytes(gzip.decompress((folder / "items.jsonl.gz").read_bytes()))
    assert sequences(data.load(str(folder))) == ["abc", "cac"]


def test_several_gzip_streams_and_zeros_after_them(tmp_path):
    write_pair(tmp_path / "shop")
    half = len(GOOD) // 2
    streams = gzip.compress(GOOD[:half].encode()) + gzip.compress(GOOD[half:].encode())
    (tmp_path / "shop" / "interactions.tsv.gz").write_bytes(streams + b"\0" * 600)
    assert sequences(data.load(str(tmp_path / "shop"))) == ["abc", "cac"]


def test_halves_of_characters_are_replaced_and_counted(tmp_path):
    items = [f'{{"item_id": "{name}", "title": "x\\ud800y"}}' for name in "abc"]
    loaded = data.load(str(write_pair(tmp_path / "shop", items=items)))
    assert {item.title for item in loaded.catalogue.items} == {"x\ufffdy"}
    assert "3 lines hold halves of characters, replaced by U+FFFD" in loaded.source.warnings[0]


BOMB = b"0 1 2\n" * (1 << 18)
"""1.5 MiB."""


def too_large(path):
    said = failure(path, reading=ONE_MIB)
    assert "unpack to more than 1 MiB; if you trust them, allow more by --max-unpacked MIB" in said
    return said


def test_gzip_bomb(tmp_path):
    path = tmp_path / "sequential_data.txt"
    path.write_bytes(gzip.compress(BOMB))
    assert str(path) in too_large(path)


def test_bombs_count_together(tmp_path):
    folder = write_pair(tmp_path / "shop")
    rows = GOOD * (700_000 // len(GOOD))
    (folder / "interactions.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    items = (folder / "items.jsonl.gz").read_bytes()
    (folder / "items.jsonl.gz").write_bytes(gzip.compress(gzip.decompress(items) * 3_000))
    assert "items.jsonl.gz" in too_large(folder)


def test_large_file_that_is_not_packed(tmp_path):
    path = tmp_path / "x.inter"
    with path.open("wb") as file:
        file.write(INTER.encode())
        file.truncate(1 << 40)  # nothing of it is on the disk
    assert "unpack to more than 16,384 MiB" in failure(path)


def zip_bomb(path, *, said=None):
    """Write a zip whose member holds more than 1 MiB, and says so or not."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/sequential_data.txt", BOMB)
    if said is not None:
        whole = path.read_bytes()
        path.write_bytes(whole.replace(struct.pack("<L", len(BOMB)), struct.pack("<L", said)))
    return path


def test_zip_bomb(tmp_path):
    assert "x.zip, member x/sequential_data.txt" in too_large(zip_bomb(tmp_path / "x.zip"))


def test_zip_bomb_that_says_it_is_small(tmp_path):
    said = failure(zip_bomb(tmp_path / "x.zip", said=60_000), reading=ONE_MIB)
    assert "x.zip: " in said, "refused, whatever is said of it"


def test_parquet_bomb(tmp_path):
    path = tmp_path / "x.parquet"
    rows = 300_000
    frame = pd.DataFrame({"user_id": [1] * rows, "item_id": [2] * rows, "timestamp": [3] * rows})
    frame.to_parquet(path)
    assert path.stat().st_size < 100_000
    too_large(path)
    long = pd.DataFrame({"user_id": ["u" * 1000] * 2_000, "item_id": [2] * 2_000, "timestamp": [3] * 2_000})
    long.to_parquet(path)
    too_large(path)


def test_the_limit_can_be_raised(tmp_path):
    path = tmp_path / "sequential_data.txt"
    path.write_bytes(gzip.compress(BOMB.replace(b"0", b"7", 1)[:12]))
    assert Unpacker(ONE_MIB).read(path).data == b"7 1 2\n0 1 2"


def test_encrypted_zip(tmp_path):
    path = write_movielens_zip(tmp_path / "ml-1m.zip")
    whole = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := whole.find(magic, start + 1)) >= 0:
            whole[start + place] |= 1
    path.write_bytes(bytes(whole))
    said = failure(path)
    assert "is encrypted; unpack the zip with its password and give the path of the folder" in said
    assert "anew" not in said


@pytest.mark.parametrize("place", ["given", "in a folder", "beside"])
def test_a_pipe_is_never_opened(tmp_path, place):
    folder = write_pair(tmp_path / "shop")
    name = "items.jsonl.gz" if place == "beside" else "interactions.tsv.gz"
    (folder / name).unlink()
    os.mkfifo(folder / name)
    said = failure(folder / name if place == "given" else folder)
    wanted = {"given": "a pipe, a socket or a device", "in a folder": "no data", "beside": "items.jsonl.gz is missing"}
    assert wanted[place] in said


def test_a_device_is_refused():
    assert "a pipe, a socket or a device, not a file" in failure("/dev/zero")


@pytest.mark.parametrize("name", ["~nosuchuser/data", "x" * 300, "a/" + "x" * 300, "\0"])
def test_paths_that_cannot_be(name):
    assert any(words in failure(name) for words in ("check the path", "not known", "names nothing"))


def test_beginning_of_a_long_file_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(gzip.compress(b"12345 67890\n" * 100_000))
    assert head(path).endswith(b"\n12345 67890")
    assert len(head(path)) < 1 << 16
    assert head(tmp_path / "no") == b""


def test_several_zips(tmp_path):
    for name in ("ml-1m.zip", "ml-10m.zip"):
        write_movielens_zip(tmp_path / "ml" / name)
    assert "several zips (ml-10m.zip, ml-1m.zip); give the path of one" in failure(tmp_path / "ml")
