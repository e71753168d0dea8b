"""States of the histories that were read last, so that one with a further event need not be read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.recommender import Recommender
from models.serving import KeptUsers


def key_of(items: tuple[int, ...]) -> int:
    """Return a 64-bit hash of the events that a state has read; equal events have equal hashes."""
    return hash(items)


class KeptStates:
    """Rows of tensors by key; where all are in use, the least recently used row makes room.

    Args:
        like: A state of one row: tensors [1, ...] whose shape, dtype and device the kept ones have.
        most: Rows that are kept.

    Attributes:
        hits: How often a key that was asked for was there.
        asked: How often one was asked for.

    """

    def __init__(self, like: Sequence[Tensor], most: int) -> None:
        self._most = most
        with torch.inference_mode(False):  # what inference mode makes could not be written to outside of it
            self._tables = [part.new_zeros(most, *part.shape[1:]) for part in like]
        self._rows: OrderedDict[int, int] = OrderedDict()
        self.hits = self.asked = 0

    def __contains__(self, key: int) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        """Count the rows in use."""
        return len(self._rows)

    def meet(self, keys: Sequence[int]) -> list[bool]:
        """Tell which keys are there, and count them."""
        there = [key in self._rows for key in keys]
        self.asked += len(there)
        self.hits += sum(there)
        return there

    @property
    def users(self) -> KeptUsers:
        """What is kept, and how often it was of use."""
        return KeptUsers(self.row_bytes, self.hits, self.asked)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.bytes // self._most

    @property
    def bytes(self) -> int:
        """Bytes of all rows, in use or not."""
        return sum(table.nbytes for table in self._tables)

    def get(self, keys: Sequence[int]) -> list[Tensor]:
        """Return the state of each key, stacked, [B, ...]; all must be there."""
        for key in keys:
            self._rows.move_to_end(key)
        rows = torch.tensor([self._rows[key] for key in keys], device=self._tables[0].device)
        return [table[rows] for table in self._tables]

    def keep(self, keys: Sequence[int], state: Sequence[Tensor]) -> None:
        """Keep the state of each key, [B, ...]; where there are more than there is room for, the last ones."""
        kept = dict(zip(keys, range(len(keys)), strict=True))  # of equal keys the last, which has the same state
        newest = list(kept.items())[-self._most :]
        rows = torch.tensor([self._row_for(key) for key, _ in newest], device=self._tables[0].device)
        places = torch.tensor([place for _, place in newest], device=rows.device)
        for table, part in zip(self._tables, state, strict=True):
            table[rows] = part[places]

    def _row_for(self, key: int) -> int:
        row = self._rows.pop(key, None)
        if row is None:
            row = len(self._rows) if len(self._rows) < self._most else self._rows.popitem(last=False)[1]
        self._rows[key] = row
        return row


class KeepsUsers(Recommender):
    """Keeps something of the users it was told to remember; its `index` ends with `forget`.

    Attributes:
        kept: What is kept, with `users` and `bytes`; None before anybody is remembered.
        kept_name: What it is, as records call its bytes.

    """

    kept: Any = None
    kept_name: ClassVar[str] = "users' keys and values"

    def kept_users(self) -> KeptUsers | None:
        """See `models.recommender.Recommender.kept_users`."""
        return None if self.kept is None else self.kept.users

    def forget(self) -> None:
        """See `models.recommender.Recommender.forget`."""
        self.kept = None

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of what is kept, once anything is, beside all else that is indexed."""
        return super().index_parts | ({} if self.kept is None else {self.kept_name: self.kept.bytes})
