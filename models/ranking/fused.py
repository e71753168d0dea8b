"""Every item, with the running best kept in cache: no score is written that cannot be among them.

Per chunk there are a matrix product and the maxima of groups of neighbours. A group is looked into only if its
maximum beats the least of a user's best so far: of equal scores the earlier item, which has the lower number, comes
first, so that what only equals it is too late. On a CPU the products are those of `models.ranking.exact`, number for
number, and so are the lists. On a GPU one kernel does all of it, see `models.ranking.fused_kernel`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import UserError
from models.graphs import is_watched
from models.int8 import Int8Rows, products
from models.padding import PADDING
from models.ranking import exact
from models.ranking.lists import GROUP, lists, top_k
from models.ranking.ranker import CatalogueRanker, Rows
from models.serving import Recommendations

PENDING = 32
"""Most groups a user, on average, that wait to be sorted in; where there are more, the best are taken at once."""


class Best:
    """The best items of each user so far; items come in ascending order.

    Args:
        users: B.
        places: Items that are kept of each user.

    Attributes:
        scores: float32 [B, places], best first; -inf where there is none yet.
        items: int64 [B, places].

    """

    def __init__(self, users: int, places: int) -> None:
        self.scores = torch.full((users, places), -torch.inf)
        self.items = torch.full((users, places), PADDING)
        self._least = self.scores[:, -1]
        self._groups: list[tuple[Tensor, Tensor, Tensor]] = []
        self._waiting = 0

    def add(self, scores: Tensor, first: int) -> None:
        """Take in the scores [B, c] of items `first`, `first` + 1, ...; they are not kept."""
        if missing := -scores.shape[1] % GROUP:
            scores = functional.pad(scores, (0, missing), value=-torch.inf)
        grouped = scores.unflatten(1, (-1, GROUP))  # [B, groups, GROUP]
        users, groups = (grouped.amax(2) > self._least[:, None]).nonzero(as_tuple=True)
        if len(users) > PENDING * len(scores):  # as of the first chunk
            self.settle()
            best, places = top_k(scores, min(self.items.shape[1], scores.shape[1]))
            self._merge(best, (places + first).masked_fill_(best == -torch.inf, PADDING))
        elif len(users):
            self._groups.append((users, first + groups * GROUP, grouped[users, groups]))
            self._waiting += len(users)
            if self._waiting > PENDING * len(scores):
                self.settle()

    def settle(self) -> None:
        """Sort in what waits."""
        if not self._groups:
            return
        users, firsts, scores = (torch.cat(parts) for parts in zip(*self._groups, strict=True))
        self._groups, self._waiting = [], 0
        rows, columns = (scores > self._least[users, None]).nonzero(as_tuple=True)
        users, order = users[rows].sort(stable=True)  # items of a user stay in ascending order
        items, scores = (firsts[rows] + columns)[order], scores[rows, columns][order]
        counts = users.bincount(minlength=len(self.items))
        place = torch.arange(len(users)) - (counts.cumsum(0) - counts)[users]
        shape = len(self.items), int(counts.max())
        padded = torch.full(shape, -torch.inf).index_put_((users, place), scores)
        numbers = torch.full(shape, PADDING).index_put_((users, place), items)
        self._merge(padded, numbers)

    def _merge(self, scores: Tensor, items: Tensor) -> None:
        """Keep the best of these [B, c] and of those before; of a user's, equal scores come with ascending items."""
        width = self.items.shape[1]
        self.scores, places = top_k(torch.cat([self.scores, scores], 1), width)
        self.items = torch.cat([self.items, items], 1).gather(1, places)
        self._least = self.scores[:, -1]


def scan(
    query: Tensor, vectors: Rows, bias: Tensor | None, wanted: int, seen_items: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the best scores and their items on a CPU, as `models.ranking.exact.scan` does; shorter lists end in -inf.

    Scores are float32, whatever the query is.
    """
    best = Best(len(query), min(wanted, len(vectors)))
    size = exact.chunk_size(query)
    hidden = Hidden(seen_items, len(vectors), size)
    for number, start in enumerate(range(0, len(vectors), size)):
        end = min(start + size, len(vectors))
        scores = products(query, vectors[start:end], None if bias is None else bias[start:end])
        hidden.hide(scores, number)
        best.add(scores.float(), start)
    best.settle()
    return best.scores, best.items


class Hidden:
    """Items that may not come back, by the chunk that they are in.

    Args:
        seen_items: int64 [B, H] padded with 0; None for none.
        rows: n + 1.
        size: Items of a chunk.

    """

    def __init__(self, seen_items: Tensor | None, rows: int, size: int) -> None:
        self._size = size
        seen = torch.empty(0, 0, dtype=torch.int64) if seen_items is None else seen_items
        self._items, order = seen.flatten().sort()
        self._users = order // max(1, seen.shape[1])
        starts = torch.arange(0, rows + size, size)
        self._bounds: list[int] = torch.searchsorted(self._items, starts).tolist()

    def hide(self, scores: Tensor, number: int) -> None:
        """Set the scores of chunk `number`, [B, size], to -inf where an item may not come back; padding may never."""
        if number == 0:
            scores[:, PADDING] = -torch.inf
        here = slice(self._bounds[number], self._bounds[number + 1])
        if here.start < here.stop:
            scores[self._users[here], self._items[here] - number * self._size] = -torch.inf


def rank_fused(
    query: Tensor, vectors: Rows, k: int, seen_items: Tensor | None = None, bias: Tensor | None = None
) -> Recommendations:
    """Rank as `models.ranking.exact.rank_items` does.

    While operators are counted or traced, those of `rank_items` run: they do the same work.

    Raises:
        UserError: On a GPU, there is no Triton.

    """
    if is_watched() or (query.is_cuda and isinstance(vectors, Int8Rows)):
        return exact.rank_items(query, vectors, k, seen_items, bias)
    if isinstance(vectors, Tensor) and query.is_cuda:
        try:
            from models.ranking import fused_kernel
        except ImportError as error:
            raise UserError(f"--ranker exact-fused needs Triton on a GPU ({error}): use exact") from error
        return lists(*fused_kernel.best(query, vectors, bias, k, seen_items), k)
    rounded = exact.is_rounded(query, vectors)
    best, items = scan(query, vectors, bias, k * exact.CANDIDATES if rounded else k, seen_items)
    if rounded:
        best, items = exact.rescored(query, vectors, bias, best, items, k)
    return lists(best, items, k)


class EveryItemFused(exact.EveryItem):
    """All rows as they are; the work is that of `models.ranking.exact`."""

    def rank(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
        """Score every item, and keep no score."""
        return rank_fused(query, self._rows, k, seen_items, self._bias)


FUSED = CatalogueRanker(name="exact-fused", kind="every item, best kept in cache", is_exact=True, build=EveryItemFused)
