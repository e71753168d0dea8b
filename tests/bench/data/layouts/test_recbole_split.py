"""Files that RecBole reads in parts become the sequences that they were cut from."""

import pytest

from bench import data
from bench.data.windows import Window, join
from tests.bench.data.conftest import sequences
from tests.bench.data.test_bad_input import failure

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


def write(folder, parts, header=HEADER):
    folder.mkdir(exist_ok=True)
    for part, rows in parts.items():
        (folder / f"tiny.{part}.inter").write_text(header + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return folder


def windows(user, items, cut):
    """Cut a sequence as LC-Rec's `convert_to_atomic_files` does: training targets from the last to the second."""
    train, valid, test = items[:-2], items[-2], items[-1]
    rows = [(user, " ".join(train[:-n][-cut:]), train[-n]) for n in range(1, len(train))]
    return {
        "train": rows,
        "valid": [(user, " ".join(train[-cut:]), valid)],
        "test": [(user, " ".join([*train, valid][-cut:]), test)],
    }


@pytest.mark.parametrize("cut", [50, 3, 2])
def test_histories_that_were_cut_are_put_together_again(tmp_path, cut):
    first, second = windows("u", list("abcdefgh"), cut), windows("v", list("hgahb"), cut)
    parts = {part: first[part] + second[part] for part in first}
    loaded = data.load(str(write(tmp_path / "tiny", parts)))
    assert sequences(loaded) == ["abcdefgh", "hgahb"]
    assert loaded.source.options["layout"] == "recbole-split"


@pytest.mark.parametrize("timed", [True, False])
def test_rows_of_single_interactions_follow_their_times_or_their_parts(tmp_path, timed):
    header = "item_id:token\tuser_id:token" + ("\ttimestamp:float" if timed else "") + "\n"
    parts = {"train": [("a", "u", 1), ("b", "u", 2)], "valid": [("c", "u", 3)], "test": [("d", "u", 4)]}
    parts = {part: rows if timed else [row[:2] for row in rows] for part, rows in parts.items()}
    folder = write(tmp_path / "tiny", parts, header)
    assert sequences(data.load(str(folder))) == ["abcd"]
    assert sequences(data.load(str(folder / "tiny.valid.inter"))) == ["abcd"]


def test_text_comes_from_the_item_file(tmp_path):
    folder = write(tmp_path / "tiny", windows("u", list("abcd"), 50))
    (folder / "tiny.item").write_text("item_id:token\ttitle:token_seq\n" + "".join(f"{n}\tT {n}\n" for n in "abcd"))
    assert {item.title for item in data.load(str(folder)).catalogue.items} == {"T a", "T b", "T c", "T d"}


def joined(*rows):
    sequence, warnings = join({"u": [Window(line, tuple(row)) for line, row in enumerate(rows, 1)]})
    return "".join(sequence[0][2]), warnings


@pytest.mark.parametrize(
    ("rows", "sequence"),
    [
        (["abcd"], "abcd"),
        (["abc", "abcd", "abcde"], "abcde"),
        (["abc", "abx"], "abcx"),  # both targets after one history, as where training's end is everybody's history
        (["abcd", "abcd"], "abcd"),
        (["ab", "bc", "cd", "de"], "abcde"),
        (["aa", "aaa", "aaaa"], "aaaa"),
        (["a", "ab"], "ab"),
    ],
)
def test_no_item_is_lost_and_none_comes_twice(rows, sequence):
    assert joined(*rows) == (sequence, ())


def test_rows_that_hang_together_with_no_other_are_counted():
    sequence, warnings = joined("abc", "xyz")
    assert sequence == "abcxyz"
    assert warnings == ("1 rows whose history is not part of the user's other rows; their items stand at the end",)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("item_id_list:token_seq\titem_id:token\tx:token\n", "line 1: no column user_id"),
        ("user_id:token\tx:token_seq\ty:token\n", "line 1: no column item_id"),
        (HEADER.replace("\t", ","), "line 1: the columns are separated by commas, where tabs are expected"),
    ],
)
def test_bad_header(tmp_path, header, problem):
    assert f"tiny.train.inter, {problem}" in failure(write(tmp_path / "tiny", {"train": [("u", "a b", "c")]}, header))


def test_parts_with_other_columns(tmp_path):
    folder = write(tmp_path / "tiny", {"train": [("u", "a b", "c")]})
    write(folder, {"test": [("u", "c", 4)]}, "user_id:token\titem_id:token\ttimestamp:float\n")
    assert "tiny.test.inter, line 1: the columns are not those of the other parts" in failure(folder)
