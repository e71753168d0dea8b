"""Interactions and item texts as the rest of the harness sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from bench.data.histories import Histories
from models.catalogue import Catalogue, History

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_INTERACTIONS = 3
"""A user with fewer has no training item left once the two targets are taken: training only."""


class Split(StrEnum):
    """Which of a user's two targets is ranked."""

    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Source:
    """Where a dataset came from and what was done to it.

    Attributes:
        name: As given on the command line.
        checksum: SHA-256 over the source files, or over the generator's settings.
        options: What it was loaded with (5-core, maximum history, seed of the numbering ...).
        unusual: Those of the options that its name does not imply.
        synthetic: True for generated data; every page that shows it must say so.
        warnings: What a reader should know, such as dropped duplicates, one line each.
        counted: What was counted on the way in, such as the share of ``tied interactions``, by name.

    """

    name: str
    checksum: str
    options: dict[str, str | int | bool | None]
    unusual: dict[str, str | int | bool | None] = field(default_factory=dict)
    synthetic: bool = False
    warnings: tuple[str, ...] = ()
    counted: dict[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A catalogue and every user's items in time order.

    Attributes:
        catalogue: The items, numbered 1..n by a seeded random permutation.
        flat: All histories one after the other, int32 [interactions].
        offsets: User u's items are ``flat[offsets[u]:offsets[u + 1]]``, int64 [users + 1].
        source: Provenance.
        max_history: Histories handed to recommenders keep at most this many last items.
        before: Under a split by time, how many of each user's items come before the cut, int64 [users]; None under
            leave-one-out.

    """

    catalogue: Catalogue
    flat: NDArray[np.int32] = field(repr=False)
    offsets: NDArray[np.int64] = field(repr=False)
    source: Source
    max_history: int | None = None
    before: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The catalogue's name."""
        return self.catalogue.name

    @property
    def variant(self) -> str:
        """The name and what it was loaded with where that is not the usual, such as ``ml-1m (min_count 5)``."""
        details = ", ".join(f"{name} {value}" for name, value in self.source.unusual.items())
        return f"{self.name} ({details})" if details else self.name

    @property
    def users(self) -> int:
        """Count the users."""
        return len(self.offsets) - 1

    def sequence(self, user: int) -> tuple[int, ...]:
        """Return all items of a user, oldest first."""
        return tuple(self.flat[self.offsets[user] : self.offsets[user + 1]].tolist())

    def training(self) -> list[History]:
        """Return what is learned of every user: the items without the two targets, or all where there are fewer than 3.

        Under a split by time: the items before the cut without the validation target; users without any are left out.
        """
        histories = []
        for user in range(self.users):
            items = self.sequence(user)
            targets = 2
            if self.before is not None:
                items, targets = items[: self.before[user]], 1
            items = items[:-targets] if len(items) >= MIN_INTERACTIONS else items
            if items:
                histories.append(History(user, self._cut(items)))
        return histories

    def queries(self, split: Split) -> tuple[Histories, list[int]]:
        """Return what is known before each target, and the targets, for users with at least 3 items.

        Under a split by time the test target is the first item after the cut, of users who have a past, and the
        validation target the last item before it, of users with at least 3 there.
        """
        starts, lengths = self.offsets[:-1], np.diff(self.offsets)
        if self.before is None:
            places = lengths - (1 if split is Split.TEST else 2)
            asked = lengths >= MIN_INTERACTIONS
        elif split is Split.TEST:
            places, asked = self.before, (self.before > 0) & (self.before < lengths)
        else:
            places, asked = self.before - 1, self.before >= MIN_INTERACTIONS
        users = np.flatnonzero(asked)
        ends = (starts + places)[users]
        history_lengths = places[users] if self.max_history is None else np.minimum(places[users], self.max_history)
        return Histories(self.flat, users, ends - history_lengths, ends), self.flat[ends].tolist()

    def _cut(self, items: tuple[int, ...]) -> tuple[int, ...]:
        return items if self.max_history is None else items[-self.max_history :]
