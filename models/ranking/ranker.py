"""A row of the table of rankers: how one is built over item vectors, and what is to be known of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.int8 import Int8Rows
from models.ranker import Built, Ranker
from models.serving import Recommendations

Rows = Tensor | Int8Rows
"""Item vectors [n + 1, D], row 0 belonging to padding."""


def width_of(rows: Rows) -> int:
    """Return D."""
    return int((rows.values if isinstance(rows, Int8Rows) else rows).shape[1])


class Index(ABC):
    """A catalogue that can be asked for the items with the greatest inner products.

    Attributes:
        nbytes: Bytes that it holds beyond the vectors it was built over.
        details: What it was built with, in words.

    """

    nbytes: int = 0
    details: str = ""

    @abstractmethod
    def rank(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
        """Rank the catalogue by inner product; of equal scores the item with the lower number comes first.

        Args:
            query: [B, D].
            k: Length of the lists; more than n fills up with `PADDING`.
            seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing. What is left
                fills the list.

        Returns:
            Lists [B, k], scores in float32.

        """

    def flops(self, users: int, k: int) -> int | None:
        """Return what ranking costs, 1 multiply-accumulate = 2 operations; None where that depends on what is found."""
        del users, k
        return None

    def proven(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Tensor | None:
        """Tell which lists a bound proves to be those of scoring every item, bool [B]; None without a bound."""
        del query, k, seen_items
        return None


@dataclass(frozen=True, kw_only=True)
class CatalogueRanker(Ranker):
    """A ranker of item vectors.

    Attributes:
        build: From rows and their bias, float [n + 1] or None, to an index of them.

    """

    build: Callable[[Rows, Tensor | None], Index]

    def built(self, rows: Rows, bias: Tensor | None) -> tuple[Index, Built]:
        """Build it, and tell what that took.

        Raises:
            UserError: The ranker cannot be built here.

        """
        started = time.perf_counter()
        index = self.build(rows, bias)
        return index, Built(self, time.perf_counter() - started, index.nbytes, index.details)
