"""Large tables: Arrow's columns and the packed sort give what the slower ways give."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import csvs, large, ordering
from bench.data.csvs import read_csv
from bench.data.files import content
from bench.data.options import LoadOptions
from bench.data.prepare import first_appearance, prepare
from bench.data.raw import Raw, number
from models.errors import UserError

CELLS = st.sampled_from(["1", "01", "b", "", "é", "NA", "null", "-", " 1", "0x1", "nan", "1.0", "a b"])
NUMBERS = st.sampled_from(["1", "2", "-3", "007", "12", "9223372036854775807", "1.5", "0x1F", "+4", "", "x", " 5"])


def read(text, *, by_arrow, monkeypatch):
    """Read a table, by Arrow where it can or never; an error is its message."""
    with monkeypatch.context() as patch:
        patch.setattr(large, "LARGE_BYTES", 0 if by_arrow else 1 << 40)
        try:
            table = read_csv(content("t.csv", text.encode()), ["u", "i"], optional=["n"], time="t")
        except UserError as error:
            return str(error)
    columns = [(list(map(str, table.cells[name])), *number(table.cells[name])) for name in ("u", "i", "n")]
    return [(texts, numbers.tolist(), names) for texts, numbers, names in columns], table.order.tolist()


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS, NUMBERS), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_a_table_is_read_the_same_by_arrow_or_not(rows, end):
    text = end.join(["u,i,n,t", *map(",".join, rows)]) + end
    with pytest.MonkeyPatch.context() as patch:
        assert read(text, by_arrow=True, monkeypatch=patch) == read(text, by_arrow=False, monkeypatch=patch)


@pytest.mark.parametrize(
    "text",
    ['u,i,n,t\n"a",b,c,1\n', "u,i,n,t\na,b,c,1\n\na,b,c,2\n", "u,i,n,t\na,b,c\n", "u,i,n,t\na,b\rc,d,1\n", "u,i,n,t\n"],
)
def test_what_arrow_would_read_otherwise_it_does_not_read(text, monkeypatch):
    """Quotes, blank lines, rows that are too short, other line ends, no rows."""
    assert read(text, by_arrow=True, monkeypatch=monkeypatch) == read(text, by_arrow=False, monkeypatch=monkeypatch)


def test_numbers_of_first_appearance_hold_over_blocks(monkeypatch):
    """Each block has a dictionary of its own, and they are put together in order."""
    monkeypatch.setattr(large, "LARGE_BYTES", 0)
    monkeypatch.setattr(large, "BLOCK_BYTES", 64)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 50, 500), rng.integers(0, 400, 500)
    text = "u,i,n,t\n" + "".join(f"u{user},{item},,{row}\n" for row, (user, item) in enumerate(zip(users, items)))  # noqa: B905
    read_large, used = csvs.read_large, []
    monkeypatch.setattr(csvs, "read_large", lambda *given, **more: used.append(read_large(*given, **more)) or used[0])
    table = read_csv(content("t.csv", text.encode()), ["u", "i"], optional=["n"], time="t")
    assert used[0] is not None
    numbers, names = number(table.cells["i"])
    codes, distinct = pd.factorize(items.astype(str))
    assert numbers.itemsize <= 4
    assert numbers.tolist() == codes.tolist()
    assert names == tuple(distinct)


def test_names_of_columns_may_have_quotes(monkeypatch):
    """As some writers put them round names alone."""
    monkeypatch.setattr(large, "LARGE_BYTES", 0)
    source = content("t.csv", b'"u","i"\na,b\na,c\n')
    assert large.read_large(source, ["u", "i"], ["u", "i"], None, ",", skip=1) is not None
    assert large.read_large(content("t.csv", b'u,i\na,"b"\n'), ["u", "i"], ["u", "i"], None, ",", skip=1) is None


def test_whether_numbers_are_those_of_first_appearance():
    assert large.by_appearance(np.array([0, 1, 0, 2]), 3)
    assert not large.by_appearance(np.array([0, 2, 1]), 3)
    assert not large.by_appearance(np.array([0, 1]), 3)
    assert not large.by_appearance(np.array([1, 0]), 2)
    assert large.by_appearance(np.array([], dtype=np.int32), 0)


def raw(users, items, times):
    rows = len(users)
    names = [tuple(map(str, range(most + 1))) for most in (max(users, default=0), max(items, default=0))]
    return Raw(
        users=np.array(users, dtype=np.int64),
        items=np.array(items, dtype=np.int64),
        order=np.array(times),
        lines=np.arange(1, rows + 1),
        user_ids=names[0],
        item_ids=names[1],
        texts=None,
        interactions_label="t",
    )


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-2, 3)), min_size=1, max_size=60)


@settings(max_examples=300, deadline=None)
@given(events=EVENTS, kind=st.sampled_from(["int", "float", "wide"]))
def test_rows_stand_as_one_sort_by_all_keys_puts_them(events, kind):
    """Also times that are no whole numbers, and those too far apart to be packed."""
    users, items, times = (np.array(column) for column in zip(*events, strict=True))
    times = {"int": times, "float": times / 2, "wide": times.astype(np.int64) * 2**61}[kind]
    given_rows = raw(users, items, times)
    order = np.lexsort((given_rows.order, items, users))
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for column in (users, items, times):
        same[1:] &= column[order][1:] == column[order][:-1]
    distinct = np.sort(order[~same])
    found = ordering.distinct_in_time_order(given_rows)
    assert np.sort(found).tolist() == distinct.tolist()
    key = (items * 7 + 3) % 2  # ties even among what decides ties
    ordering.order_ties(given_rows, found, lambda rows: key[rows])
    assert found.tolist() == distinct[np.lexsort((key[distinct], times[distinct], users[distinct]))].tolist()


def test_nothing_is_lost_where_numbers_are_narrow():
    """As those of Arrow are: int32 users and items give the histories of int64 ones."""
    rng = np.random.default_rng(1)
    users, items, times = rng.integers(0, 20, 300), rng.integers(0, 15, 300), rng.integers(0, 2**33, 300)
    wide = raw(users, items, times)
    narrow = raw(users.astype(np.int32), items.astype(np.int32), times)
    object.__setattr__(narrow, "users", users.astype(np.int32))
    object.__setattr__(narrow, "items", items.astype(np.int32))
    first, second = (prepare(one, LoadOptions(min_count=5)) for one in (wide, narrow))
    assert first.flat.tolist() == second.flat.tolist()
    assert first.offsets.tolist() == second.offsets.tolist()
    assert first.ids == second.ids


def test_first_appearance_holds_over_blocks(monkeypatch):
    monkeypatch.setattr("bench.data.prepare.BLOCK", 7)
    flat = np.random.default_rng(2).integers(1, 30, 100).astype(np.int32)
    values, first = np.unique(flat, return_index=True)
    assert first_appearance(flat) == tuple(values[np.argsort(first)].tolist())
