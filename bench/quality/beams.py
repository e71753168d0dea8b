"""Beam search held against the ranking of all items by the same scores.

A beam search reports as rank 1 to 10 what its beams happened to reach; how the model itself ranks those items only
a score for every item tells. jeannineshiu/sequential-rec-from-sasrec-to-tiger (README) reports how far apart the two
can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality import evaluate
from bench.quality.evaluate import Lists
from bench.records.quality import Metric
from bench.records.studies import Beam
from models.catalogue import History
from models.padding import PADDING
from models.recommender import Recommender

CUTOFF = 10
"""Length of the lists that are compared."""

Places = NDArray[np.int32]


def rank_all(
    recommender: Recommender,
    histories: Sequence[History],
    targets: Sequence[int],
    *,
    items: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> tuple[Lists, Places]:
    """Rank the whole catalogue for every user.

    Args:
        recommender: Served by a decoder that scores every item, indexed, in eval mode.
        histories: What is known of each user, [U].
        targets: The item each user took next, [U].
        items: Size n of the catalogue.
        device: Where the recommender is.
        progress: Told how many users are ranked.

    Returns:
        The first `CUTOFF` places, and for each user the rank of each item from 1, int32 [U, n + 1]; 0 for what
        is in no list, such as seen items and padding.

    """
    parts: list[Lists] = []
    order = np.argsort(np.array([history.user for history in histories]), kind="stable")
    row_of = {histories[place].user: row for row, place in enumerate(order.tolist())}
    places = np.zeros((len(histories), items + 1), dtype=np.int32)
    ask = partial(evaluate.rank_users, k=items, batch_size=8, device=device, items=items)
    for part in ask(recommender, histories, targets):
        for user, ranked in zip(part.users.tolist(), part.items, strict=True):
            places[row_of[user], ranked] = np.arange(1, items + 1, dtype=np.int32)
        first = slice(None), slice(CUTOFF)
        parts.append(Lists(part.users, part.items[first].copy(), part.scores[first].copy(), part.ranks))
        progress(sum(len(batch.users) for batch in parts))
    places[:, PADDING] = 0
    return evaluate.join(parts), places


def metrics(lists: Lists) -> dict[str, Metric]:
    """Return HR and NDCG at the cut-offs up to `CUTOFF`, with intervals over users."""
    per_user = evaluate.per_user_metrics(lists.ranks, CUTOFF)
    return {name: evaluate.interval(values) for name, values in per_user.items()}


def coverage(lists: Lists, items: int) -> float:
    """Return the share of the catalogue that is in some user's first `CUTOFF` places."""
    return len(np.unique(lists.items[lists.items != PADDING])) / items


def compare(width: int, searched: Lists, targets: Sequence[int], all_items: Lists, places: Places) -> Beam:
    """Hold a beam search's lists against the ranking of all items.

    Args:
        width: Its beams.
        searched: Its lists, the same users in the same order.
        targets: The item each user took next, [U], in that order.
        all_items: The ranking of all items, see `rank_all`.
        places: Likewise.

    """
    lists = searched.items[:, :CUTOFF]
    real = lists != PADDING
    goals = np.asarray(targets)
    hit = np.flatnonzero((lists == goals[:, None]).any(1))
    true_ranks = places[hit, goals[hit]]
    shared = [len(np.intersect1d(*pair)) for pair in zip(lists, all_items.items, strict=True)]
    distinct = sum(len(np.unique(row[row != PADDING])) for row in lists)
    return Beam(
        width=width,
        metrics=metrics(searched),
        found=len(hit),
        true_rank_mean=float(true_ranks.mean()) if len(hit) else None,
        true_rank_median=float(np.median(true_ranks)) if len(hit) else None,
        overlap=float(np.mean(shared)) / CUTOFF,
        coverage=coverage(searched, places.shape[1] - 1),
        valid_rate=float(real.sum() / np.minimum((places > 0).sum(1), lists.shape[1]).sum().clip(1)),
        duplicate_rate=1 - distinct / max(1, int(real.sum())),
    )
