"""From interactions as they stand in files to numbered histories in time order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.util import hash_array

from bench.data.dataset import MIN_INTERACTIONS, Dataset, Source
from bench.data.options import LEAVE_ONE_OUT, LoadOptions, Ties
from bench.data.ordering import Rows, distinct_in_time_order, order_ties
from bench.data.raw import Numbers, Raw
from bench.data.splitting import split_at, split_counts, split_warnings
from models.catalogue import Catalogue, Item
from models.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_TIED = 0.05
"""Share of tied interactions beyond which a reader should know of them."""

BLOCK = 1 << 22
"""Interactions looked at together."""


@dataclass(frozen=True)
class Prepared:
    """What is cached: everything of a dataset that does not depend on how it is asked for.

    Attributes:
        flat: All histories one after the other, int32 [interactions].
        offsets: User u's items are ``flat[offsets[u]:offsets[u + 1]]``, int64 [users + 1].
        ids: Source identifiers of items 1..n.
        items: Texts of items 1..n.
        warnings: What a reader should know.
        counted: What was counted on the way in, by name: ``tied interactions``, the share of interactions that have
            the time of another one of the same user, and what `split_counts` counts.
        before: Under a split by time, how many of each user's items come before the cut, int64 [users]; else None.
        codes: Semantic IDs of items 1..n that came with the data, empty where an item has none; None without any.

    """

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ids: Sequence[str]
    items: Sequence[Item]
    warnings: tuple[str, ...]
    counted: dict[str, int | float] = field(default_factory=dict)
    before: NDArray[np.int64] | None = None
    codes: tuple[tuple[int, ...], ...] | None = None

    def dataset(self, name: str, source: Source, max_history: int | None) -> Dataset:
        """Give it a name for prompts and tables, and a provenance."""
        catalogue = Catalogue(name, self.ids, self.items, first_appearance(self.flat), self.codes)
        return Dataset(catalogue, self.flat, self.offsets, source, max_history, self.before)


def prepare(raw: Raw, options: LoadOptions) -> Prepared:
    """Drop duplicates and what is outside the k-core, number the items, sort every history.

    Items are numbered 1..n by a random permutation of their sorted identifiers, so that neither the
    order of the file nor that of the identifiers is in the numbers. Interactions of one user at the
    same time are ordered by a seeded hash of user and item: an order that several users share can be
    learned, and would be taken for skill.

    Args:
        raw: As the files hold it.
        options: What is done to it.

    Raises:
        UserError: An item is unknown, there are no times to split at, or nothing to evaluate is left.

    """
    min_count = options.min_count
    raw.check_items()
    warnings = list(raw.warnings)
    rows = distinct_in_time_order(raw)
    if duplicates := len(raw.users) - len(rows):
        warnings.append(f"{duplicates:,} exact duplicates (same user, item and time) dropped")
    rows = rows[k_core(raw.users[rows], raw.items[rows], min_count)]
    if not len(rows) or np.bincount(raw.users[rows]).max() < MIN_INTERACTIONS:
        where = f"{raw.interactions_label}, lines 1 to {raw.lines[-1]}"
        remedy = f"lower min_count, which is {min_count}" if min_count else "give longer histories"
        raise UserError(f"{where}: no user has at least {MIN_INTERACTIONS} interactions; {remedy}")

    def among_ties(some: Rows) -> NDArray[Any]:
        return _hashed(raw, some, options.seed) if options.ties is Ties.SHUFFLED else raw.lines[some]

    tied = order_ties(raw, rows, among_ties)
    numbers, ids = _number(raw.items[rows], raw.item_ids, options.seed)
    lengths = np.bincount(raw.users[rows])
    offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])]).astype(np.int64)
    times = raw.order[rows]
    counted: dict[str, int | float] = {"tied interactions": round(tied, 4)} if tied else {}
    if tied > MOST_TIED:
        how = "a random order of their own" if options.ties is Ties.SHUFFLED else "the order of the file"
        warnings.append(
            f"{tied:.1%} of the interactions have the time of another one of the same user; they take {how}"
        )
    before = None
    if options.split != LEAVE_ONE_OUT:
        before, moment = split_at(raw, options.split, times, offsets)
        counts = split_counts(before, numbers, offsets)
        warnings += split_warnings(counts)
        counted |= {"cut at": moment} | counts
    texts = tuple(raw.texts[identifier] if raw.texts is not None else Item() for identifier in ids)
    silent = sum(not item.text for item in texts)
    if silent:
        warnings.append(f"{silent:,} of {len(ids):,} items have no text")
    codes = None
    if raw.codes is not None:
        codes = tuple(raw.codes.get(identifier, ()) for identifier in ids)
        without = sum(not code for code in codes)
        if without:
            warnings.append(f"{without:,} of {len(ids):,} items have no semantic ID")
    return Prepared(numbers, offsets, ids, texts, tuple(warnings), counted, before, codes)


def _hashed(raw: Raw, rows: Rows, seed: int) -> NDArray[np.uint64]:
    """Return a number for each of some rows that hangs on its user, its item and the seed alone, uint64 [rows]."""
    key = f"{seed:016d}"
    users, items = (hash_array(np.array(ids, dtype=object), hash_key=key) for ids in (raw.user_ids, raw.item_ids))
    with np.errstate(over="ignore"):
        return hash_array(users[raw.users[rows]] * np.uint64(3) + items[raw.items[rows]])


def k_core(users: Numbers, items: Numbers, min_count: int) -> NDArray[np.int64]:
    """Return the rows left when users and items with fewer than `min_count` rows go, until none has.

    Args:
        users: Whole numbers [interactions].
        items: Whole numbers [interactions].
        min_count: 0 and 1 keep everything.

    """
    rows = np.arange(len(users))
    while min_count > 1 and len(rows):
        enough = (np.bincount(users[rows]) >= min_count)[users[rows]]
        enough &= (np.bincount(items[rows]) >= min_count)[items[rows]]
        if enough.all():
            break
        rows = rows[enough]
    return rows


def _number(items: Numbers, names: tuple[str, ...], seed: int) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the number of every row's item, and the identifiers of items 1..n."""
    present = np.flatnonzero(np.bincount(items, minlength=len(names)))
    alphabetical = sorted(present.tolist(), key=names.__getitem__)
    shuffled = np.array(alphabetical)[np.random.default_rng(seed).permutation(len(alphabetical))]
    numbers = np.zeros(len(names), dtype=np.int32)
    numbers[shuffled] = np.arange(1, len(shuffled) + 1)
    return numbers[items], tuple(names[item] for item in shuffled)


def first_appearance(flat: NDArray[np.int32]) -> tuple[int, ...]:
    """Return the distinct values in the order in which they first come."""
    first = np.full(int(flat.max(initial=0)) + 1, len(flat), dtype=np.int64)
    for end in range(len(flat), 0, -BLOCK):  # backwards: of equal places, numpy keeps what is written last
        places = np.arange(max(0, end - BLOCK), end)[::-1]
        first[flat[places]] = places
    values = np.flatnonzero(first < len(flat))
    return tuple(values[np.argsort(first[values])].tolist())
