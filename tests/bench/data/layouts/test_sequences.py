"""Text files of S3-Rec and P5, and of SASRec, are told apart by what stands in them."""

import gzip

import pytest

from bench import data
from tests.bench.data.conftest import sequences
from tests.bench.data.test_bad_input import failure

WHOLE = "1 4 5 6\n2 6 4\n3 5 6 4 5\n"
PAIRS = "1 4\n1 5\n1 6\n2 6\n2 4\n3 5\n3 6\n3 4\n3 5\n"


@pytest.mark.parametrize(("text", "layout"), [(WHOLE, "sequences"), (PAIRS, "pairs")])
@pytest.mark.parametrize("given", ["folder", "file", "gzip"])
def test_sequences_in_order(tmp_path, text, layout, given):
    folder = tmp_path / "Beauty"
    folder.mkdir()
    (folder / "README.txt").write_text("Get the files, they are nice.\n")
    name = "sequential_data.txt.gz" if given == "gzip" else "sequential_data.txt"
    (folder / name).write_bytes(gzip.compress(text.encode()) if given == "gzip" else text.encode())
    loaded = data.load(str(folder / name if given == "file" else folder))
    assert sequences(loaded) == ["456", "64", "5645"]
    assert loaded.source.options["layout"] == layout
    assert loaded.source.warnings == ("3 of 3 items have no text",)


def test_positions_are_no_times(tmp_path):
    (tmp_path / "x.txt").write_text(WHOLE)
    assert "positions" in failure(tmp_path / "x.txt", split="time=0.5")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x y z", "'x y z' is no user with items, all of them numbers"),
        ("9", "'9' is no user with items"),
        ("1 7", "user 1 has a line already, 1; join the two"),
    ],
)
def test_bad_line_beyond_what_is_looked_at_first(tmp_path, line, problem):
    rows = "".join(f"{user} 4 5 6 7\n" for user in range(1, 9_000))
    (tmp_path / "x.txt").write_text(f"{rows}{line}\n")
    assert f"x.txt, line 9000: {problem}" in failure(tmp_path / "x.txt")


def test_three_numbers_among_pairs(tmp_path):
    rows = "".join(f"{user} {item}\n" for user in range(1, 9_000) for item in (1, 2))
    (tmp_path / "x.txt").write_text(f"{rows}7 8 9\n")
    assert "x.txt, line 17999: 3 numbers instead of a user and an item" in failure(tmp_path / "x.txt")
