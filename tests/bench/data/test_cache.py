"""The second time comes from the cache; a damaged cache is made anew."""

import logging

import pytest

from bench import data
from bench.data import cache, loading
from bench.ground.home import home

from .conftest import ROWS, write_pair


def cached_files():
    return sorted(home("data", "prepared").glob("*/*.parquet"))


@pytest.fixture
def count_preparations(monkeypatch):
    """Count how often something is prepared from files."""
    calls = []
    original = loading.prepare
    monkeypatch.setattr(loading, "prepare", lambda *args, **kwargs: (calls.append(1), original(*args, **kwargs))[1])
    return calls


def test_cached_dataset_equals_the_first_one(tmp_path, count_preparations):
    folder = write_pair(tmp_path / "shop", [*ROWS, ROWS[0]])
    first, second = data.load(str(folder)), data.load(str(folder))
    assert len(count_preparations) == 1
    assert second.flat.tolist() == first.flat.tolist()
    assert second.offsets.tolist() == first.offsets.tolist()
    assert (second.flat.dtype, second.offsets.dtype) == (first.flat.dtype, first.offsets.dtype) == ("int32", "int64")
    assert second.catalogue == first.catalogue
    assert second.source == first.source
    assert first.source.warnings


def test_maximum_history_does_not_prepare_again(tmp_path, count_preparations):
    folder = str(write_pair(tmp_path / "shop"))
    assert data.load(folder).max_history is None
    assert data.load(folder, max_history=2).max_history == 2
    assert len(count_preparations) == 1


@pytest.mark.parametrize("options", [{"min_count": 2}, {"seed": 1}])
def test_other_options_are_another_entry(tmp_path, count_preparations, options):
    folder = str(write_pair(tmp_path / "shop"))
    data.load(folder)
    data.load(folder, **options)
    assert len(count_preparations) == 2


def test_changed_file_is_another_entry_with_another_checksum(tmp_path):
    first = data.load(str(write_pair(tmp_path / "shop")))
    second = data.load(str(write_pair(tmp_path / "shop", [*ROWS, ("cora", "b", 1)])))
    assert (first.users, second.users) == (2, 3)
    assert first.source.checksum != second.source.checksum


def test_same_files_elsewhere_share_the_checksum(tmp_path):
    paths = [write_pair(tmp_path / name) for name in ("one", "two")]
    assert len({data.load(str(path)).source.checksum for path in paths}) == 1


@pytest.mark.parametrize("name", ["histories", "items"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "garbled", "overwritten", "removed"])
def test_damaged_cache_is_made_anew(tmp_path, caplog, count_preparations, name, damage):
    folder = str(write_pair(tmp_path / "shop"))
    first = data.load(folder)
    (path,) = (file for file in cached_files() if file.stem == name)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "emptied": b"",
        "garbled": whole[:40] + bytes(255 - byte for byte in whole[40:60]) + whole[60:],
        "overwritten": b"not parquet at all",
    }
    path.unlink() if damage == "removed" else path.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        again = data.load(folder)
    assert len(count_preparations) == 2
    assert again.flat.tolist() == first.flat.tolist()
    assert again.catalogue == first.catalogue
    data.load(folder)
    assert len(count_preparations) == 2


def test_cache_of_other_data_is_not_taken(tmp_path):
    data.load(str(write_pair(tmp_path / "shop")))
    assert cache.fetch(cached_files()[0].parent, "another key") is None


def test_cache_that_cannot_be_written_costs_no_run(tmp_path, caplog):
    folder = str(write_pair(tmp_path / "shop"))
    data.load(folder)
    place = cached_files()[0].parent
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    place.write_text("in the way")
    assert data.load(folder).users == 2
    assert "could not be cached" in caplog.text
