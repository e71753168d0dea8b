"""Generated catalogues of millions of items: rules and arrays, and a Python object only where somebody looks.

The items, series, genres and readers are those of `bench.data.synthetic`; but readers are a million at most, so that
most items are known by their texts alone, and the catalogue holds all of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from bench.data.options import SyntheticSizes
from bench.data.prepare import Prepared
from bench.data.synthetic import Names, make_world, walk_lengths, walk_together
from models.catalogue import Catalogue, Item

if TYPE_CHECKING:
    from numpy.typing import NDArray

VAST = 1_000_000
"""Items beyond which a catalogue is generated so."""

READERS = 1_000_000
"""Users of such data where nobody says how many."""

BYTES_AN_ITEM = 96
"""What an item takes at the peak of generating such a catalogue, as the arrays add up."""


class Labels(Sequence[str]):
    """Identifiers of items 1..n: ``item-`` and a number.

    Args:
        numbers: int32 [n].

    """

    def __init__(self, numbers: NDArray[np.int32]) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Labels: ...

    def __getitem__(self, place: int | slice) -> str | Labels:
        if isinstance(place, slice):
            return Labels(self._numbers[place])
        return f"item-{self._numbers[place]:06d}"


class GeneratedItems(Sequence[Item]):
    """Texts of items 1..n, each written when it is asked for.

    Args:
        names: Writes them.
        parts: Which item of the world each one is, int32 [n].

    """

    def __init__(self, names: Names, parts: NDArray[np.int32]) -> None:
        self._names = names
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> GeneratedItems: ...

    def __getitem__(self, place: int | slice) -> Item | GeneratedItems:
        if isinstance(place, slice):
            return GeneratedItems(self._names, self._parts[place])
        return self._names.item(int(self._parts[place]))


def vast(sizes: SyntheticSizes, seed: int) -> Prepared:
    """Generate readers of a vast catalogue; the same seed gives the same data.

    Args:
        sizes: Users, items and the mean length of a history.
        seed: Decides all that is drawn.

    """
    rng = np.random.default_rng(seed)
    world = make_world(sizes.items, rng)
    lengths = walk_lengths(sizes, rng)
    walks = walk_together(world, lengths, rng)
    taken = np.arange(walks.shape[1]) < lengths[:, None]  # [users, longest]
    number = rng.permutation(sizes.items).astype(np.int32)  # of each item of the world, from 0: its order says nothing
    parts = np.empty(sizes.items, dtype=np.int32)
    parts[number] = np.arange(sizes.items, dtype=np.int32)
    return Prepared(
        flat=number[walks[taken]] + np.int32(1),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ids=Labels(rng.permutation(sizes.items).astype(np.int32)),
        items=GeneratedItems(Names(rng), parts),
        warnings=(),
    )


def catalogue_of(name: str, prepared: Prepared, digest: str) -> Catalogue:
    """Return the catalogue; items that nobody took stand last in the order of appearance.

    Args:
        name: The dataset's.
        prepared: Made by `vast`.
        digest: Stands for its settings.

    """
    first = np.full(len(prepared.ids) + 1, len(prepared.flat), dtype=np.int64)
    first[prepared.flat[::-1]] = np.arange(len(prepared.flat), dtype=np.int64)[::-1]  # what is written last stays
    order = np.argsort(first[1:], kind="stable").astype(np.int32) + 1
    appearance: Any = array("i", order.tobytes())
    return Catalogue(name, prepared.ids, prepared.items, appearance, digest=digest)
