"""Histories of many users as arrays; what is known of one user is an object only while somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self, overload

import numpy as np

from models.catalogue import History

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Histories(Sequence[History]):
    """Parts of the users' items, each made when it is asked for.

    Args:
        flat: All users' items one after the other, int32 [interactions].
        users: The users, int64 [U].
        starts: Where each one's part begins in `flat`, int64 [U].
        ends: Where it ends, int64 [U].

    """

    def __init__(
        self, flat: NDArray[np.int32], users: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        self._flat = flat
        self._users = users
        self._starts = starts
        self._ends = ends

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Count the items of each history, int64 [U]."""
        return self._ends - self._starts

    def __len__(self) -> int:
        return len(self._users)

    @overload
    def __getitem__(self, place: int) -> History: ...

    @overload
    def __getitem__(self, place: slice) -> Self: ...

    def __getitem__(self, place: int | slice) -> History | Self:
        if isinstance(place, slice):
            return self._part(place)
        items = self._flat[self._starts[place] : self._ends[place]]
        return History(int(self._users[place]), tuple(items.tolist()))

    def pick(self, places: Iterable[int]) -> Self:
        """Return some of them, in the order given."""
        return self._part(np.fromiter(places, np.int64))

    def _part(self, places: slice | NDArray[np.int64]) -> Self:
        return type(self)(self._flat, self._users[places], self._starts[places], self._ends[places])


def lengths_of(histories: Sequence[History]) -> NDArray[np.int64]:
    """Count the items of each history, int64 [U], without making those that are not there yet."""
    if isinstance(histories, Histories):
        return histories.lengths
    return np.fromiter((len(history.items) for history in histories), np.int64, len(histories))
