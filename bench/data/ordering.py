"""Interactions user by user in time order, without repetitions: one sort of packed keys, and the ties apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.raw import Numbers, Raw, Times

MOST_BITS = 63

Rows = NDArray[np.int64]


def in_time_order(users: Numbers, times: Times) -> Rows:
    """Return all rows by user and time, int64 [interactions]; rows of equal user and time in any order.

    Args:
        users: From 0, whole numbers [interactions].
        times: int64 or float64 [interactions].

    """
    if not len(users):
        return np.zeros(0, dtype=np.int64)
    if times.dtype.kind == "i":
        first = int(times.min())
        bits = (int(times.max()) - first).bit_length()
        if int(users.max()).bit_length() + bits <= MOST_BITS:
            key = users.astype(np.int64)
            key <<= bits
            key += times.astype(np.int64, copy=False) - first
            return np.argsort(key)
    return np.lexsort((times, users))


def tied(users: Numbers, times: Times) -> NDArray[np.bool_]:
    """Tell which rows have a neighbour of the same user and time; both sorted, [interactions]."""
    same = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    is_tied = np.zeros(len(users), dtype=bool)
    is_tied[1:] |= same
    is_tied[:-1] |= same
    return is_tied


def distinct_in_time_order(raw: Raw) -> Rows:
    """Return the rows that repeat no earlier one of the same user, item and time, by user and time."""
    rows = in_time_order(raw.users, raw.order)
    places = np.flatnonzero(tied(raw.users[rows], raw.order[rows]))
    among = rows[places]
    keys = (raw.items[among], raw.order[among], raw.users[among])
    by_item = np.lexsort((among, *keys))  # of equal rows the earliest comes first
    repeated = np.ones(len(among), dtype=bool)
    repeated[:1] = False
    for key in keys:
        ordered = key[by_item]
        repeated[1:] &= ordered[1:] == ordered[:-1]
    return np.delete(rows, places[by_item[repeated]])


def order_ties(raw: Raw, rows: Rows, among_ties: Callable[[Rows], NDArray[Any]]) -> float:
    """Put rows of equal user and time into an order, in place.

    Args:
        raw: The interactions.
        rows: By user and time.
        among_ties: What decides between some rows.

    Returns:
        The share of rows that had to be decided between.

    """
    places = np.flatnonzero(tied(raw.users[rows], raw.order[rows]))
    among = rows[places]
    rows[places] = among[np.lexsort((among, among_ties(among), raw.order[among], raw.users[among]))]
    return len(places) / len(rows)
