"""What is dropped, how items are numbered, how ties are ordered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import data
from bench.data import Split
from bench.data.prepare import k_core

from .conftest import ROWS, sequences, write_pair


def test_repeated_consumption_is_kept_and_exact_duplicates_are_counted(tmp_path):
    rows = [*ROWS, ("anna", "b", 2), ("bert", "c", 3), ("bert", "c", 3)]
    loaded = data.load(str(write_pair(tmp_path / "shop", rows)))
    assert sequences(loaded) == ["abc", "cac"]
    assert loaded.source.warnings == ("3 exact duplicates (same user, item and time) dropped",)


def test_users_keep_the_order_of_the_file_when_their_rows_are_scattered(tmp_path):
    rows = [("zoe", "a", 3), ("adam", "b", 1), ("zoe", "b", 1), ("adam", "a", 2), ("zoe", "c", 2)]
    assert sequences(data.load(str(write_pair(tmp_path / "shop", rows)))) == ["bca", "ba"]


def test_users_with_fewer_than_three_interactions_only_train(tmp_path):
    rows = [*ROWS, ("cora", "a", 1), ("cora", "b", 2)]
    loaded = data.load(str(write_pair(tmp_path / "shop", rows)))
    assert [len(history.items) for history in loaded.training()] == [1, 1, 2]
    assert [history.user for history in loaded.queries(Split.TEST)[0]] == [0, 1]


NAMES = [f"i{number:02d}" for number in range(30)]


def test_ties_take_an_order_of_each_users_own_that_is_not_the_files(tmp_path):
    """With all interactions at one time, no order is shared, and the file's has no say; another seed gives others."""
    rows = [(user, name, 7) for name in NAMES for user in "uvw"]
    forwards = data.load(str(write_pair(tmp_path / "forwards", rows)))
    backwards = data.load(str(write_pair(tmp_path / "backwards", rows[::-1])))
    assert sorted(sequences(forwards)) == sorted(sequences(backwards))
    assert len({*sequences(forwards), "".join(NAMES), "".join(NAMES[::-1])}) == 5
    assert set(sequences(data.load(str(tmp_path / "forwards"), seed=1))).isdisjoint(sequences(forwards))
    assert forwards.catalogue.ids == backwards.catalogue.ids
    assert list(forwards.catalogue.ids) != sorted(NAMES)


def test_ties_take_the_order_of_the_file_where_that_is_asked_for(tmp_path):
    rows = [("u", name, 7) for name in NAMES[::-1]]
    loaded = data.load(str(write_pair(tmp_path / "shop", rows)), ties="file")
    assert sequences(loaded) == ["".join(NAMES[::-1])]
    assert loaded.source.options["ties"] == "file"
    assert loaded.source.warnings == (
        "100.0% of the interactions have the time of another one of the same user; they take the order of the file",
    )


def test_ties_are_counted_and_told_beyond_a_twentieth(tmp_path):
    rows = [(user, f"i{user}{place}", place) for user in range(4) for place in range(20)]
    few = [*rows, (0, "x", 3)]
    many = [*rows, *((user, f"x{user}", 3) for user in range(4))]
    loaded = data.load(str(write_pair(tmp_path / "few", few)))
    assert (loaded.source.counted, loaded.source.warnings) == ({"tied interactions": 0.0247}, ())
    assert loaded.source.options["ties"] == "shuffled", "weights that saw another order are of other data"
    assert "ties" not in data.load(str(write_pair(tmp_path / "none", rows))).source.options
    loaded = data.load(str(write_pair(tmp_path / "many", many)))
    assert loaded.source.counted == {"tied interactions": 0.0952}
    assert "9.5% of the interactions have the time of another one of the same user" in loaded.source.warnings[0]


def test_times_keep_every_digit(tmp_path):
    """Two nanoseconds that a float does not tell apart are in their order."""
    late = 1_700_000_000_000_000_001
    rows = [("u", "a", late), ("u", "b", late - 1), ("u", "c", late + 1)]
    loaded = data.load(str(write_pair(tmp_path / "shop", rows)))
    assert (sequences(loaded), loaded.source.counted) == (["bac"], {})


def test_another_seed_numbers_otherwise_and_keeps_the_histories(tmp_path):
    rows = [("u", f"i{number:02d}", number) for number in range(30)]
    first, second = (data.load(str(write_pair(tmp_path / "shop", rows)), seed=seed) for seed in (0, 1))
    assert first.catalogue.ids != second.catalogue.ids
    assert sequences(first) == sequences(second)


def test_appearance_follows_whole_sequences_in_the_order_of_users(tmp_path):
    loaded = data.load(str(write_pair(tmp_path / "shop", [("v", "c", 9), ("v", "b", 1), ("v", "d", 10), *ROWS])))
    assert "".join(loaded.catalogue.ids[item - 1] for item in loaded.catalogue.appearance) == "bcda"


def test_maximum_history_cuts_what_recommenders_see_and_no_target(tmp_path):
    rows = [("u", f"i{number}", number) for number in range(9)]
    loaded = data.load(str(write_pair(tmp_path / "shop", rows)), max_history=3)
    histories, targets = loaded.queries(Split.TEST)
    assert (histories[0].items, targets[0]) == (loaded.sequence(0)[5:8], loaded.sequence(0)[8])
    assert loaded.training()[0].items == loaded.sequence(0)[4:7]
    assert len(loaded.flat) == 9


def test_core_drops_rare_items_from_the_catalogue(tmp_path):
    loaded = data.load(str(write_pair(tmp_path / "shop")), min_count=2)
    assert sequences(loaded) == ["ac", "cac"]
    assert sorted(loaded.catalogue.ids) == ["a", "c"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=60), st.integers(0, 4))
def test_core_is_the_largest_set_in_which_all_have_enough(pairs, min_count):
    """What is left satisfies the bound, and equals what one-at-a-time removal leaves."""
    users = np.array([user for user, _ in pairs], dtype=np.int64)
    items = np.array([item for _, item in pairs], dtype=np.int64)
    left = set(range(len(pairs)))
    changed = True
    while changed:
        changed = False
        for row in sorted(left):
            of_user = sum(users[other] == users[row] for other in left)
            of_item = sum(items[other] == items[row] for other in left)
            if min(of_user, of_item) < min_count:
                left.discard(row)
                changed = True
                break
    assert k_core(users, items, min_count).tolist() == sorted(left)


@pytest.mark.parametrize("name", ["ml-1m", "beauty", "sports", "toys"])
def test_known_names_are_available(name):
    assert name in data.available()
