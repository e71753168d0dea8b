"""Full-ranking quality of a recommender, from the same lists that a user would get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.histories import lengths_of
from bench.records.quality import Hits, Metric, Quality
from bench.statistics import ranks as ranking
from bench.statistics.intervals import bootstrap
from bench.statistics.ranks import Floats, Ints, Ranks
from models.catalogue import History
from models.contract import check_lists
from models.padding import PADDING
from models.recommender import Recommender
from models.serving import Recommendations, SeenItems

CUTOFFS = (1, 5, 10, 20)

BATCH = 32
"""Users ranked at a time: lists must not depend on it."""


@dataclass(frozen=True)
class Lists:
    """Ranked lists of U users.

    Attributes:
        users: The users' numbers, [U].
        items: [U, K].
        scores: [U, K].
        ranks: Where the targets stand.

    """

    users: Ints
    items: Ints
    scores: Floats
    ranks: Ranks


def sample(users: int, most: int | None) -> list[int]:
    """Choose `most` of so many users, always the same, in order; None chooses all."""
    if most is None or most >= users:
        return list(range(users))
    return torch.randperm(users, generator=torch.Generator().manual_seed(0))[:most].sort().values.tolist()


def rank_users(
    recommender: Recommender,
    histories: Sequence[History],
    targets: Sequence[int],
    *,
    k: int,
    batch_size: int,
    device: torch.device,
    items: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Lists]:
    """Rank the catalogue for every user, batch by batch; the caller may show progress.

    Where a list ends inside a tie that reaches a counted place, it is asked for again at twice the
    length until the tie is whole, so that ties can be counted at their expectation.

    Args:
        recommender: Indexed and in eval mode.
        histories: What is known of each user, [U].
        targets: The item each user took next, [U].
        k: Length of the lists that are returned.
        batch_size: Users a call.
        device: Where the recommender is.
        items: Size of the catalogue; None where it is not known.
        part: Which of how many processes this is: each ranks whole batches, the same as one process makes.

    Raises:
        BrokenListError: A list breaks the contract of `Recommender.recommend`.

    """
    # Similar lengths go together, so that long histories do not make others pay for their padding.
    order = np.argsort(lengths_of(histories), kind="stable").tolist()
    ask = partial(_lists, recommender, device, items)
    first, step = part
    for start in range(first * batch_size, len(order), step * batch_size):
        rows = order[start : start + batch_size]
        batch = [histories[row] for row in rows]
        goals = np.array([targets[row] for row in rows], dtype=np.int64)
        listed, scores = ask(batch, k)
        ranks = _ranks_with_whole_ties(ask, batch, goals, listed, scores)
        yield Lists(np.array([history.user for history in batch], dtype=np.int64), listed[:, :k], scores[:, :k], ranks)


def _lists(
    recommender: Recommender, device: torch.device, items: int | None, batch: list[History], k: int
) -> tuple[Ints, Floats]:
    with torch.inference_mode():
        recommended = recommender.recommend(recommender.prepare(batch).to(device), k)
    recommended = Recommendations(recommended.items.cpu(), recommended.scores.double().cpu())
    check_lists(recommender, recommended, batch, k=k, items=items)
    return recommended.items.numpy(), recommended.scores.numpy()


def _ranks_with_whole_ties(
    ask: Callable[[list[History], int], tuple[Ints, Floats]],
    batch: list[History],
    targets: Ints,
    items: Ints,
    scores: Floats,
) -> Ranks:
    ranks = ranking.target_ranks(items, scores, targets)
    k = items.shape[1]
    width = k
    pending: NDArray[np.intp] = np.flatnonzero(ranking.open_ties(items, scores, k))
    while len(pending):
        width *= 2
        items, scores = ask([batch[row] for row in pending], width)
        wider = ranking.target_ranks(items, scores, targets[pending])
        ranks.better[pending], ranks.tied[pending] = wider.better, wider.tied
        # A recommender that cannot fill longer lists, as a beam search cannot, has no more to say.
        pending = pending[ranking.open_ties(items, scores, k)]
    return ranks


def join(parts: Sequence[Lists]) -> Lists:
    """Join batches of lists, ordered by user."""
    users = np.concatenate([part.users for part in parts])
    order = np.argsort(users, kind="stable")
    return Lists(
        users[order],
        np.concatenate([part.items for part in parts])[order],
        np.concatenate([part.scores for part in parts])[order],
        Ranks(
            np.concatenate([part.ranks.better for part in parts])[order],
            np.concatenate([part.ranks.tied for part in parts])[order],
        ),
    )


def per_user_metrics(ranks: Ranks, k: int) -> dict[str, Floats]:
    """Return each metric for each user [U]: HR and NDCG at the cut-offs up to k, MRR at k."""
    metrics: dict[str, Floats] = {}
    for cutoff in CUTOFFS:
        if cutoff <= k:
            metrics[f"HR@{cutoff}"] = ranking.hit_rate(ranks, cutoff)
            metrics[f"NDCG@{cutoff}"] = ranking.ndcg(ranks, cutoff)
    metrics[f"MRR@{k}"] = ranking.reciprocal_rank(ranks, k)
    return metrics


def interval(values: Floats, *, seed: int = 0) -> Metric:
    """Return the mean over users with its 95 % percentile-bootstrap interval (Efron 1979)."""
    estimate = bootstrap(values, seed=seed)
    return Metric(value=estimate.value, low=estimate.low, high=estimate.high)


def summarise(
    lists: Lists,
    histories: Sequence[History],
    targets: Sequence[int],
    *,
    items: int,
    split: str,
    seen: str,
) -> Quality:
    """Turn ranked lists into quality with intervals.

    Args:
        lists: All users' lists.
        histories: What was known of each user, [U], in any order.
        targets: The item each of them took next, [U].
        items: Size of the catalogue.
        split: Which targets were ranked.
        seen: What was done with items of the history.

    """
    k = lists.items.shape[1]
    real = lists.items[lists.items != PADDING]
    places = unreachable = 0
    for history, target in zip(histories, targets, strict=True):  # sets of all users at once would take gigabytes
        removed = frozenset(history.items if seen == SeenItems.REMOVE else ())
        places += min(k, items - len(removed))
        unreachable += target in removed
    listed = np.flatnonzero(lists.ranks.tied)
    return Quality(
        split=split,
        users=len(lists.users),
        cutoff=k,
        seen=seen,
        metrics={name: interval(values) for name, values in per_user_metrics(lists.ranks, k).items()},
        coverage=len(np.unique(real)) / items,
        valid_rate=real.size / places if places else 1.0,
        unreachable=unreachable,
        hits=Hits(
            rows=listed.tolist(), better=lists.ranks.better[listed].tolist(), tied=lists.ranks.tied[listed].tolist()
        ),
    )
