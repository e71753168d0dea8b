"""A global split by time: what came before a moment is learned, what came after it is predicted.

Leave-one-out lets a model learn from events that lie after those it is asked for (Ji et al. 2023, "A Critical Study on
Data Leakage in Recommender System Offline Evaluation", arXiv 2010.11060). Here nothing is learned that was not known
at the cut::

    user a   o o o o v | t o o          o learned, or not used     v validation target
    user b     o o v   | t              t test target              | the cut
    user c             | o o            unseen before the cut: counted, not ranked
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from bench.data.options import cut_of
from bench.data.raw import Raw, Times
from models.errors import UserError

UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (np.inf, 10**9))
"""Times below the first number count so many parts of a second since 1970: s, ms, us, ns."""


def split_at(raw: Raw, split: str, times: Times, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], int | float]:
    """Count each user's events before the cut.

    Args:
        raw: Tells whether there are times at all.
        split: As `bench.data.options.cut_of` takes it.
        times: Times of all events, user by user in time order, [interactions].
        offsets: User u's events are ``offsets[u]:offsets[u + 1]``, [users + 1].

    Returns:
        Counts, int64 [users], and the moment of the cut in the data's own unit.

    Raises:
        UserError: The data has no times, or no user has events on both sides of the cut.

    """
    if not raw.timed:
        raise UserError(f"--split {split}: {raw.interactions_label} has positions, not times; use leave-one-out")
    cut = cut_of(split)
    if isinstance(cut, datetime):
        moment = cut.timestamp() * next(parts for most, parts in UNITS if float(np.median(times)) < most)
    else:
        place = min(len(times) - 1, int(np.ceil(cut * len(times))))
        moment = np.partition(times, place)[place].item()
    early = np.concatenate([[0], np.cumsum(times < moment)])
    before: NDArray[np.int64] = early[offsets[1:]] - early[offsets[:-1]]
    lengths = np.diff(offsets)
    if not ((before > 0) & (before < lengths)).any():
        raise UserError(f"--split {split}: no user has events on both sides of it; choose another moment")
    return before.astype(np.int64), moment


def split_counts(
    before: NDArray[np.int64], numbers: NDArray[np.int32], offsets: NDArray[np.int64]
) -> dict[str, int | float]:
    """Count which users and items a split by time leaves without a past.

    Args:
        before: Each user's events before the cut, [users].
        numbers: Items of all events, user by user in time order, [interactions].
        offsets: User u's events are ``offsets[u]:offsets[u + 1]``, [users + 1].

    """
    place = np.arange(len(numbers)) - np.repeat(offsets[:-1], np.diff(offsets))
    early = place < np.repeat(before, np.diff(offsets))
    unseen = np.setdiff1d(numbers[~early], numbers[early])
    first = offsets[:-1] + before
    ranked = (before > 0) & (first < offsets[1:])
    return {
        "users with a past": int((before > 0).sum()),
        "users ranked": int(ranked.sum()),
        "users after the cut only": int((before == 0).sum()),
        "items after the cut only": len(unseen),
        "targets after the cut only": int(np.isin(numbers[first[ranked]], unseen).sum()),
    }


def split_warnings(counts: Mapping[str, int | float]) -> list[str]:
    """Say what `split_counts` counted."""
    past, ranked, users, items, targets = counts.values()
    kept = f"the cut leaves {past:,} of {past + users:,} users with a past; the {ranked:,} who also have "
    new = f"{users:,} users and {items:,} items appear only after the cut: these users are not ranked, and "
    return [f"{kept}a future are ranked", f"{new}{targets:,} of the targets are such items"]
