"""Every item, scored a chunk at a time: the first of the rankers, and what the others are held against."""

from __future__ import annotations

import torch
from torch import Tensor

from models.int8 import Int8Rows, products
from models.padding import PADDING
from models.ranking.lists import lists, top_k
from models.ranking.ranker import CatalogueRanker, Index, Rows, width_of
from models.serving import Recommendations

CHUNK = {"cpu": 1 << 14}
"""Fewest items that are scored at a time, by type of device: on a CPU as many as its caches hold beside the queries."""

CHUNK_ELSEWHERE = 1 << 18

SCORES = 1 << 19
"""Most scores at a time where users are few: the fewer they are, the more items are scored at once."""

CANDIDATES = 4
"""Items that scores in low precision nominate, as a multiple of those asked for."""


def rank_items(
    query: Tensor, vectors: Rows, k: int, seen_items: Tensor | None = None, bias: Tensor | None = None
) -> Recommendations:
    """Rank the catalogue by inner product with a query, without ever holding a score for every user and item.

    Items are scored a chunk at a time, and the best so far are carried on; of equal scores the item with the lower
    number comes first. In half precision and in int8 the scores only nominate `CANDIDATES` x k items, which are
    scored again in float32 and ranked by that: products of rounded vectors differ by less than a rounded score can
    tell. The list is that of the rounded vectors as long as rounding the scores moves no item of it behind all
    nominees.

    Args:
        query: [B, D].
        vectors: [n + 1, D], row 0 belonging to padding.
        k: Length of the lists; more than n fills up with `PADDING`.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.
        bias: Added to each item's score, [n + 1]; None for none.

    Returns:
        Lists [B, k], scores in float32.

    """
    rounded = is_rounded(query, vectors)
    best, items = scan(query, vectors, bias, k * CANDIDATES if rounded else k, seen_items)
    if rounded:
        best, items = rescored(query, vectors, bias, best, items, k)
    return lists(best, items, k)


def is_rounded(query: Tensor, vectors: Rows) -> bool:
    """Tell whether products are too coarse to rank by."""
    return isinstance(vectors, Int8Rows) or query.dtype in (torch.bfloat16, torch.float16)


def chunk_size(query: Tensor) -> int:
    """Return how many items are scored at a time for queries [B, D]."""
    least = CHUNK.get(query.device.type)
    return CHUNK_ELSEWHERE if least is None else max(least, SCORES // len(query))


def scan(
    query: Tensor, vectors: Rows, bias: Tensor | None, wanted: int, seen_items: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the best scores and their items, [B, at most `wanted`] each; scores of removed items are -inf."""
    best, items = query.new_empty(len(query), 0), torch.empty(len(query), 0, dtype=torch.int64, device=query.device)
    for start in range(0, len(vectors), size := chunk_size(query)):
        end = min(start + size, len(vectors))
        scores = products(query, vectors[start:end], None if bias is None else bias[start:end])
        if start == 0:
            scores[:, PADDING] = -torch.inf
        if seen_items is not None:
            here = (seen_items >= start) & (seen_items < end)
            least = torch.where(here, -torch.inf, torch.inf).to(scores.dtype)
            scores.scatter_reduce_(1, (seen_items - start).clamp(0, end - start - 1), least, "amin")
        chunk_best, places = top_k(scores, min(wanted, end - start))
        best, items = torch.cat([best, chunk_best], 1), torch.cat([items, places + start], 1)
        if start > 0:
            best, places = top_k(best, min(wanted, best.shape[1]))
            items = items.gather(1, places)
    return best, items


def rescored(
    query: Tensor, vectors: Rows, bias: Tensor | None, best: Tensor, items: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Score nominees [B, C] again in float32, and return the best k and their items; what was -inf remains so."""
    items, order = items.sort(1)
    best = best.gather(1, order)
    again = torch.einsum("bd,bcd->bc", query.float(), vectors[items].float())
    again = again if bias is None else again + bias[items].float()
    best, places = top_k(again.masked_fill_(best == -torch.inf, -torch.inf), min(k, again.shape[1]))
    return best, items.gather(1, places)


class EveryItem(Index):
    """All rows as they are.

    Args:
        rows: [n + 1, D].
        bias: [n + 1]; None for none.

    """

    def __init__(self, rows: Rows, bias: Tensor | None) -> None:
        self._rows, self._bias = rows, bias

    def rank(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
        """Score every item."""
        return rank_items(query, self._rows, k, seen_items, self._bias)

    def flops(self, users: int, k: int) -> int:
        """Add up the products with every row, padding's too; where rows are rounded, also those with the nominees."""
        rows = len(self._rows)
        rounded = isinstance(self._rows, Int8Rows) or self._rows.dtype in (torch.bfloat16, torch.float16)
        return 2 * users * width_of(self._rows) * (rows + (min(k * CANDIDATES, rows) if rounded else 0))


EXACT = CatalogueRanker(name="exact", kind="every item, in chunks", is_exact=True, traceable=True, build=EveryItem)
