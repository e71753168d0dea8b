"""What a queue brings back: few files, whole, and read only where they are ours."""

import zipfile

import numpy as np
import pytest

from bench.ground.outputs import MANIFEST
from bench.reproducing import packed
from bench.reproducing.packed import LIST, Listed, pack, restore, unpack
from bench.reproducing.queue import ROW
from models.errors import UserError
from tests.bench.reproducing.test_queue import job, row


def listed(*jobs):
    return Listed(queue="gpu", size="compact", rows=[row(one) for one in jobs])


def noise(megabytes, seed=0):
    return np.random.default_rng(seed).bytes(megabytes * 2**20)


def test_what_is_packed_comes_back(tmp_path):
    files = {"one": {"run.json": b"{}", "cards/a.json": b"[1]", ROW: b"row"}, "two": {ROW: b"row"}}
    paths = pack(tmp_path, listed(job("one"), job("two")), files, made_by="a test")
    assert {path.name for path in paths} == {LIST, "results-1.zip"}
    found, held = unpack(tmp_path)
    assert (found, held) == (listed(job("one"), job("two")), files)
    restore(held["one"], tmp_path / "again")
    assert (tmp_path / "again" / "cards" / "a.json").read_bytes() == b"[1]"
    before = (tmp_path / "results-1.zip").read_bytes()
    pack(tmp_path, listed(job("one"), job("two")), files, made_by="a test")
    assert (tmp_path / "results-1.zip").read_bytes() == before


def test_many_megabytes_are_a_few_files_that_can_be_committed(tmp_path):
    files = {f"job{number}": {ROW: b"", "run.json": noise(7, number)} for number in range(5)}
    pack(tmp_path, listed(), files, made_by="a test")
    made = list(tmp_path.iterdir())
    assert len(made) <= 8
    assert {path.name for path in made} == {MANIFEST, LIST, "results-1.zip", "results-2.zip", "results-3.zip"}
    assert max(path.stat().st_size for path in made) <= 16 * 2**20
    assert unpack(tmp_path)[1] == files
    pack(tmp_path, listed(), {"job0": files["job0"]}, made_by="a test")
    assert not (tmp_path / "results-2.zip").exists(), "what an earlier call left is taken away"


def test_more_than_can_be_brought_back_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="job one: its files take 16 MiB even packed"):
        pack(tmp_path, listed(), {"one": {"run.json": noise(16)}}, made_by="a test")
    monkeypatch.setattr(packed, "VOLUME_BYTES", 2**20)
    many = {f"job{number}": {"run.json": noise(1, number)[:-9000]} for number in range(7)}
    with pytest.raises(UserError, match="more than 6 archives"):
        pack(tmp_path, listed(), many, made_by="a test")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "one/../../outside", "one\\..\\x/y", "alone"])
def test_an_archive_that_leads_outside_is_refused(tmp_path, name):
    pack(tmp_path, listed(), {}, made_by="a test")
    with zipfile.ZipFile(tmp_path / "results-1.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(UserError, match="which lies outside of its folder"):
        unpack(tmp_path)


def test_damaged_and_foreign_folders_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=f"holds no {LIST}"):
        unpack(tmp_path)
    pack(tmp_path, listed(job()), {"one": {ROW: b"row"}}, made_by="a test")
    whole = (tmp_path / "results-1.zip").read_bytes()
    (tmp_path / "results-1.zip").write_bytes(whole[:40])
    with pytest.raises(UserError, match=r"results-1.zip: is damaged"):
        unpack(tmp_path)
    (tmp_path / "results-1.zip").write_bytes(whole)
    monkeypatch.setattr(packed, "MOST_UNPACKED", 2)
    with pytest.raises(UserError, match="unpacks to more than a gigabyte"):
        unpack(tmp_path)
    (tmp_path / LIST).write_text("{}")
    with pytest.raises(UserError, match=f"{LIST}: is damaged"):
        unpack(tmp_path)
