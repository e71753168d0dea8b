"""What every layout of files is read into, before anything is dropped, sorted or numbered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.large import by_appearance
from models.catalogue import Item
from models.errors import UserError

Times = NDArray[np.int64] | NDArray[np.float64]
Numbers = NDArray[np.int64] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Raw:
    """All interactions and item texts of some files, as they stand there.

    Attributes:
        users: Users numbered from 0 by first appearance in the file, whole numbers [interactions].
        items: Positions in `item_ids`, whole numbers [interactions].
        order: Timestamps or positions: larger is later, within one user, int64 or float64 [interactions].
        lines: Where each interaction stands, int64 [interactions].
        user_ids: Source identifiers of the users; user u is ``user_ids[u]``.
        item_ids: The items that occur.
        texts: What is known of items by their id; None where there is no file of items.
        interactions_label: How messages name the file of interactions.
        items_label: How messages name the file of items.
        warnings: What the reader noticed, one line each.
        timed: Whether `order` holds times, by which users can be held against each other, and not mere positions.
        codes: Semantic IDs that came with the data, by item id; None where none did.

    """

    users: Numbers
    items: Numbers
    order: Times
    lines: NDArray[np.int64]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    texts: dict[str, Item] | None
    interactions_label: str
    items_label: str = ""
    warnings: tuple[str, ...] = ()
    timed: bool = False
    codes: dict[str, tuple[int, ...]] | None = None

    def check_items(self) -> None:
        """Check that every item that occurs is in the file of items.

        Raises:
            UserError: One is not; names the line of its first interaction.

        """
        if self.texts is None:
            return
        described = np.array([identifier in self.texts for identifier in self.item_ids], dtype=bool)
        unknown = np.flatnonzero(~described[self.items])
        if len(unknown):
            row = unknown[0]
            raise UserError(
                f"{self.interactions_label}, line {self.lines[row]}: item {self.item_ids[self.items[row]]!r} is not in "
                f"{self.items_label}; add it there or delete its interactions ({len(unknown):,} in all)"
            )


def number(identifiers: pd.Series | Sequence[Hashable]) -> tuple[Numbers, tuple[str, ...]]:
    """Return each identifier's place among the distinct ones, by first appearance, and the distinct ones.

    Categories that stand in that order already are taken as they are, and their numbers, mostly int32, too.
    """
    series = _series(identifiers)
    if isinstance(series.dtype, pd.CategoricalDtype):
        numbers, names = series.cat.codes.to_numpy(), series.cat.categories
        if by_appearance(numbers, len(names)):
            return numbers, tuple(names.tolist())
    codes, distinct = pd.factorize(series)
    return codes.astype(np.int64), tuple(map(str, distinct))


def _series(values: pd.Series | Sequence[Hashable]) -> pd.Series:
    return values if isinstance(values, pd.Series) else pd.Series(values)


def are_positions(users: Numbers, order: Times) -> bool:
    """Tell whether the order of each user's interactions just counts from 1, so that it holds no times."""
    counts = np.bincount(users)
    first, last = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
    np.minimum.at(first, users, order)
    np.maximum.at(last, users, order)
    return bool((first == 1).all() and (last == counts).all())


class Texts(dict[str, Item]):
    """Item texts by id; of an item that is described twice the first description stays.

    Args:
        label: How messages name the file that describes them.

    Attributes:
        notes: What was noticed on reading it, one line each.

    """

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self.notes: tuple[str, ...] = ()
        self._repeated = self._missing = 0

    def add(self, identifier: str, item: Item) -> None:
        """Add an item unless it is there already."""
        if identifier in self:
            self._repeated += 1
        else:
            self[identifier] = item

    def complete(self, identifiers: Iterable[str]) -> None:
        """Give the items that are not described an empty text, and count them."""
        for identifier in identifiers:
            if identifier not in self:
                self[identifier] = Item()
                self._missing += 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """Tell how many descriptions were passed over, and how many are missing."""
        said = list(self.notes)
        if self._repeated:
            said.append(f"{self.label}: {self._repeated:,} items described more than once; the first description stays")
        if self._missing:
            said.append(f"{self.label}: {self._missing:,} items that occur are not described")
        return tuple(said)


@dataclass(frozen=True)
class Events:
    """Interactions as a layout found them.

    Attributes:
        label: How messages name their file.
        users: Identifiers, one an interaction.
        items: Identifiers, one an interaction.
        order: Times or positions, int64 or float64 [interactions].
        lines: Where each stands, int64 [interactions].
        timed: Whether `order` holds times.
        warnings: What was noticed, one line each.

    """

    label: str
    users: pd.Series | Sequence[Hashable]
    items: pd.Series | Sequence[Hashable]
    order: NDArray[np.int64] | NDArray[np.float64]
    lines: NDArray[np.int64]
    timed: bool = True
    warnings: tuple[str, ...] = ()

    def raw(
        self,
        texts: Texts | Callable[[tuple[str, ...]], Texts] | None = None,
        codes: dict[str, tuple[int, ...]] | None = None,
        *,
        complete: bool = False,
    ) -> Raw:
        """Number users and items.

        Args:
            texts: Texts of the items, or what reads those of the items that occur.
            codes: Semantic IDs by item.
            complete: Whether items that are not described get an empty text; else `Raw.check_items` refuses them.

        """
        users, user_ids = number(self.users)
        items, item_ids = number(self.items)
        described = texts(item_ids) if callable(texts) else texts
        if described is not None and complete:
            described.complete(item_ids)
        return Raw(
            users=users,
            items=items,
            order=self.order,
            lines=self.lines,
            user_ids=user_ids,
            item_ids=item_ids,
            texts=described,
            interactions_label=self.label,
            items_label=described.label if described is not None else "",
            warnings=self.warnings + (described.warnings if described is not None else ()),
            timed=self.timed,
            codes=codes,
        )


def sequential(label: str, rows: Sequence[tuple[int, str, Sequence[str]]], warnings: tuple[str, ...] = ()) -> Events:
    """Return whole sequences as interactions that are ordered by their places.

    Args:
        label: How messages name their file.
        rows: The line, the user, and his items, oldest first; a user may have several, which follow each other.
        warnings: What was noticed.

    """
    lengths = np.fromiter((len(items) for _, _, items in rows), np.int64, len(rows))
    total = int(lengths.sum())
    return Events(
        label=label,
        users=pd.Series([user for _, user, _ in rows], dtype="str").take(np.repeat(np.arange(len(rows)), lengths)),
        items=pd.Series(list(chain.from_iterable(items for _, _, items in rows)), dtype="str"),
        order=np.arange(total, dtype=np.int64),
        lines=np.repeat(np.fromiter((line for line, _, _ in rows), np.int64, len(rows)), lengths),
        timed=False,
        warnings=warnings,
    )
