"""From scores over the catalogue to ranked lists, for every one-pass recommender."""

from __future__ import annotations

import torch
from torch import Tensor

from models.recommender import PADDING, Recommendations


def top_items(scores: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
    """Rank the catalogue by score.

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
    best, items = scores.topk(min(k, scores.shape[1]), dim=1)
    items = items.masked_fill(best == -torch.inf, PADDING)
    missing = k - items.shape[1]
    if missing > 0:
        best = torch.nn.functional.pad(best, (0, missing), value=-torch.inf)
        items = torch.nn.functional.pad(items, (0, missing), value=PADDING)
    return Recommendations(items, best.float())
