"""Scoring and ranking the catalogue, for every one-pass recommender."""

from __future__ import annotations

import torch
from torch import Tensor

from models.int8 import Int8Rows, products
from models.recommender import PADDING, Recommendations

CHUNK = {"cpu": 1 << 14}
"""Items scored at a time: on a CPU what its caches hold beside the queries."""

CHUNK_ELSEWHERE = 1 << 18

GROUP = 64
"""Neighbouring scores of which `top_k` takes the maximum first."""

WORTH_GROUPING = 1 << 18
"""Scores from which finding the maxima of groups first is sooner done than `torch.topk` of all (`bench_ranking`)."""

CANDIDATES = 4
"""Times as many items as are asked for that low-precision scores nominate."""


def top_items(scores: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
    """Rank the catalogue by scores that are at hand.

    Args:
        scores: [B, n + 1], one column an item; column 0 belongs to padding and is never ranked.
            Changed in place.
        k: Length of the lists; more than n fills up with `PADDING`.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.

    Returns:
        Lists [B, k], scores in float32.

    """
    scores[:, PADDING] = -torch.inf
    if seen_items is not None:
        scores.scatter_(1, seen_items, -torch.inf)
    return _lists(*top_k(scores, min(k, scores.shape[1])), k)


def rank_items(
    query: Tensor, vectors: Tensor | Int8Rows, k: int, seen_items: Tensor | None = None, bias: Tensor | None = None
) -> Recommendations:
    """Rank the catalogue by inner product with a query, without ever holding a score for every user and item.

    Items are scored a chunk at a time, and the best so far are carried on. In half precision and in
    int8 the scores only nominate `CANDIDATES` x k items, which are scored again in float32 and ranked by
    that: products of rounded vectors differ by less than a rounded score can tell. The list is that of
    the rounded vectors as long as rounding the scores moves no item of it behind all nominees.

    Args:
        query: [B, D].
        vectors: [n + 1, D], row 0 belonging to padding.
        k: Length of the lists; more than n fills up with `PADDING`.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.
        bias: Added to each item's score, [n + 1]; None for none.

    Returns:
        Lists [B, k], scores in float32.

    """
    rounded = isinstance(vectors, Int8Rows) or query.dtype in (torch.bfloat16, torch.float16)
    wanted = k * CANDIDATES if rounded else k
    best, items = query.new_empty(len(query), 0), torch.empty(len(query), 0, dtype=torch.int64, device=query.device)
    for start in range(0, len(vectors), size := CHUNK.get(query.device.type, CHUNK_ELSEWHERE)):
        end = min(start + size, len(vectors))
        scores = products(query, vectors[start:end], None if bias is None else bias[start:end])
        if start == 0:
            scores[:, PADDING] = -torch.inf
        if seen_items is not None:
            here = (seen_items >= start) & (seen_items < end)
            least = torch.where(here, -torch.inf, torch.inf).to(scores.dtype)
            scores.scatter_reduce_(1, (seen_items - start).clamp(0, end - start - 1), least, "amin")
        found, places = top_k(scores, min(wanted, end - start))
        best, items = torch.cat([best, found], 1), torch.cat([items, places + start], 1)
        if start > 0:
            best, places = best.topk(min(wanted, best.shape[1]), dim=1)
            items = items.gather(1, places)
    if rounded:
        again = torch.einsum("bd,bcd->bc", query.float(), vectors[items].float())
        again = again if bias is None else again + bias[items].float()
        best, places = again.masked_fill_(best == -torch.inf, -torch.inf).topk(min(k, again.shape[1]), dim=1)
        items = items.gather(1, places)
    return _lists(best, items, k)


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what `torch.topk` returns for the last dimension of [B, n], up to the order of equal scores.

    The maximum of each `GROUP` neighbours comes first: the best k lie in the k groups with the
    greatest maxima, because each other group has k scores before its own. Then those k groups are
    searched, and what is left over at the end.
    """
    users, items = scores.shape
    groups = items // GROUP
    if users * items < WORTH_GROUPING or groups < 4 * k:
        return scores.topk(k, dim=1)
    grouped = scores[:, : groups * GROUP].unflatten(1, (groups, GROUP))  # [B, groups, GROUP]
    chosen = grouped.amax(2).topk(k, dim=1, sorted=False).indices  # [B, k]
    nominees = grouped.gather(1, chosen[..., None].expand(-1, -1, GROUP)).flatten(1)
    rest = torch.arange(groups * GROUP, items, device=scores.device).expand(users, -1)
    places = (chosen[..., None] * GROUP + torch.arange(GROUP, device=scores.device)).flatten(1)
    best, kept = torch.cat([nominees, scores[:, groups * GROUP :]], 1).topk(k, dim=1)
    return best, torch.cat([places, rest], 1).gather(1, kept)


def _lists(best: Tensor, items: Tensor, k: int) -> Recommendations:
    """Make lists of length k of what was found, in place of removed items `PADDING`."""
    items = items.masked_fill(best == -torch.inf, PADDING)
    missing = k - items.shape[1]
    if missing > 0:
        best = torch.nn.functional.pad(best, (0, missing), value=-torch.inf)
        items = torch.nn.functional.pad(items, (0, missing), value=PADDING)
    return Recommendations(items, best.float())
