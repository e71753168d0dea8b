"""Where results are written to: looked at first, never over foreign files, never lost."""

import errno
import os
from pathlib import Path

import pytest

from bench.ground import outputs
from bench.ground.outputs import MANIFEST, check_out_file, check_out_folder, manifest_of, write_file, write_folder
from models.errors import UserError

OURS = '{"kind": "lite-llm4rec-studies"}'


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that has no room below a folder called `full`; our home lies elsewhere."""
    real = Path.replace

    def replace(self, target):
        if "full" in Path(target).parts:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "is a folder; give the path of a file"),
        (lambda path: path.write_text("my thesis"), "exists and holds no results of ours"),
        (os.mkfifo, "is a pipe, a socket or a device"),
        (lambda path: path.parent.joinpath("x").write_text("") and None, None),
        (lambda path: path.write_text(OURS), None),
        (lambda path: path.write_text(""), None),
    ],
    ids=["folder", "foreign", "fifo", "absent", "ours", "empty"],
)
def test_a_file_is_looked_at_before_the_work(tmp_path, make, said):
    path = tmp_path / "out.json"
    make(path)
    if said is None:
        check_out_file(path)
        return
    with pytest.raises(UserError, match=said):
        check_out_file(path)


@pytest.mark.parametrize("parent", ["file", "a\0b"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, parent):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="nothing can be written into"):
        check_out_file(tmp_path / parent / "out.json")
    with pytest.raises(UserError, match="nothing can be written into"):
        check_out_folder(tmp_path / parent)


def test_what_cannot_be_written_is_kept_below_our_home_and_the_line_says_where(tmp_path, full_disk):
    for write in (
        lambda: write_file(tmp_path / "full" / "out.json", OURS),
        lambda: write_folder(tmp_path / "full", {"out.json": OURS.encode()}, made_by="test"),
    ):
        with pytest.raises(UserError, match="No space left on device; what was computed is kept in ") as caught:
            write()
        place = Path(str(caught.value).rpartition("is kept in ")[2])
        assert (place / "out.json").read_text() == OURS
        assert place.is_relative_to(tmp_path / "home")


def test_only_files_that_a_manifest_names_are_replaced_or_deleted(tmp_path):
    write_folder(tmp_path, {"page.html": b"1", "figures/a.svg": b"a"}, made_by="test")
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    (tmp_path / "notes.md").write_text("mine")
    written = write_folder(tmp_path, {"page.html": b"2"}, made_by="test")
    assert written == [tmp_path / "page.html"]
    assert (tmp_path / "page.html").read_bytes() == b"2"
    assert not (tmp_path / "figures" / "a.svg").exists()
    assert (tmp_path / "figures" / "mine.svg").read_text() == (tmp_path / "notes.md").read_text() == "mine"
    assert manifest_of(tmp_path) == ("page.html",)


def test_a_foreign_file_in_the_way_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(UserError, match=r"page\.html: exists and was not written by this command"):
        write_folder(tmp_path, {"a.csv": b"1", "page.html": b"2"}, made_by="test")
    with pytest.raises(UserError, match="exists and was not written by this command"):
        check_out_folder(tmp_path, ["page.html"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "mine"


@pytest.mark.parametrize("name", ["../mine.txt", "/etc/passwd", "a/../../mine.txt", ""])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    (tmp_path / "mine.txt").write_text("mine")
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / MANIFEST).write_text(outputs.Manifest(made_by="test", files=(name,)).model_dump_json())
    with pytest.raises(UserError, match="lies outside of its folder"):
        write_folder(folder, {"a": b""}, made_by="test")
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{}", "[" * 1000, "\x80"])
def test_a_damaged_manifest_is_one_line(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="is no list of our files"):
        write_folder(tmp_path, {"a": b""}, made_by="test")
