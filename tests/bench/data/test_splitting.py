"""The global split by time: nothing is learned that was not known at the cut."""

from datetime import UTC, datetime

import pytest
import torch

from bench import data
from bench.data import Split
from bench.running.provenance import provenance
from models.errors import UserError

from .conftest import write_pair, write_recbole

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
DAY = 86_400
FIRST = 1_500_000_000  # 2017-07-14, 02:40 UTC


def write(folder, rows, scale=1):
    text = "".join(f"{user}\t{item}\t{(FIRST + day * DAY) * scale}\n" for user, item, day in rows)
    return str(write_recbole(folder, HEADER + text))


ROWS = [
    *(("old", item, day) for day, item in enumerate("abcd")),
    *(("both", item, day) for day, item in zip((1, 2, 3, 4, 11, 12), "bcadxe", strict=True)),
    ("brief", "a", 5), ("brief", "b", 13),
    *(("new", item, 10 + day) for day, item in enumerate("axc")),
]  # fmt: skip
"""Day 10 divides them: 2017-07-24."""


def names(dataset, histories):
    ids = dataset.catalogue.ids
    return {history.user: "".join(ids[item - 1] for item in history.items) for history in histories}


@pytest.mark.parametrize("scale", [1, 1000, 1_000_000, 1_000_000_000], ids=["s", "ms", "us", "ns"])
def test_what_comes_before_a_date_is_learned_and_what_comes_first_after_it_is_ranked(tmp_path, scale):
    loaded = data.load(write(tmp_path / "tiny", ROWS, scale), split="time=2017-07-20")
    assert names(loaded, loaded.training()) == {0: "abc", 1: "bca", 2: "a"}
    histories, targets = loaded.queries(Split.TEST)
    assert names(loaded, histories) == {1: "bcad", 2: "a"}
    assert [loaded.catalogue.ids[target - 1] for target in targets] == ["x", "b"]
    histories, targets = loaded.queries(Split.VALIDATION)
    assert names(loaded, histories) == {0: "abc", 1: "bca"}
    assert [loaded.catalogue.ids[target - 1] for target in targets] == ["d", "d"]


def test_users_and_items_without_a_past_are_counted_and_said(tmp_path):
    loaded = data.load(write(tmp_path / "tiny", ROWS), split="time=2017-07-20")
    past, new, _ = loaded.source.warnings
    assert past == "the cut leaves 3 of 4 users with a past; the 2 who also have a future are ranked"
    assert new.startswith("1 users and 2 items appear only after the cut: these users are not ranked, and 1 of")
    assert loaded.source.options["split"] == "time=2017-07-20"
    told = provenance("a command", loaded, torch.device("cpu"), "now").dataset
    assert (
        told
        | {
            "users with a past": 3,
            "users ranked": 2,
            "users after the cut only": 1,
            "items after the cut only": 2,
            "targets after the cut only": 1,
        }
        == told
    )
    assert datetime.fromtimestamp(told["cut at"], UTC).date().isoformat() == "2017-07-20"
    assert "split time=2017-07-20" in loaded.variant


def test_a_share_cuts_at_that_share_of_all_events(tmp_path):
    """Nine of fifteen events come before the tenth; the cut is kept in the cache."""
    path = write(tmp_path / "tiny", ROWS)
    for _ in range(2):
        loaded = data.load(path, split="time=0.6")
        assert loaded.before.tolist() == [4, 4, 1, 0]
    assert data.load(path).before is None


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("time=2001-01-01", "no user has events on both sides of it"),
        ("time=2031-01-01", "no user has events on both sides of it"),
        ("time=0", "split 'time=0': write leave-one-out, time=0.9 or time=2018-01-31"),
        ("time=0.0", "nothing comes before time=0"),
        ("time=1.5", "write leave-one-out, time=0.9 or time=2018-01-31"),
        ("time=nan", "write leave-one-out"),
        ("time=2018-13-45", "month must be in 1..12"),
        ("tomorrow", "write leave-one-out"),
        ("", "write leave-one-out"),
    ],
)
def test_a_split_that_cannot_be_made_is_one_line(tmp_path, split, said):
    path = write(tmp_path / "tiny", ROWS)
    with pytest.raises(UserError) as caught:
        data.load(path, split=split)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_positions_are_no_times(tmp_path):
    with pytest.raises(UserError, match="has positions, not times; use leave-one-out"):
        data.load(str(write_pair(tmp_path / "shop")), split="time=0.5")
