"""Does a numbering of the items give the answer away? A rule that needs no model tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.quality.evaluate import interval, per_user_metrics
from bench.records.quality import Metric
from bench.statistics.ranks import Ranks
from models.catalogue import History


def next_number_ranks(histories: Sequence[History], targets: Sequence[int], numbers: Sequence[int], k: int) -> Ranks:
    """Rank each target in the list of the k numbers that follow the highest one of the history.

    Where items are numbered as they appear over whole sequences, an item that a user was the first to take has
    the number after the highest one that this user took before: named by the first author of TIGER in a pull request
    to jeykigung/P5. Nothing is learnt, so what the rule finds comes from the numbering alone.

    Args:
        histories: What is known of each user, [U], not empty.
        targets: The item each user took next, [U].
        numbers: That of item i at ``numbers[i - 1]``.
        k: Length of the lists.

    """
    place = np.argsort(np.argsort(np.asarray(numbers)))  # gaps between numbers hold no items
    highest = np.array([place[np.array(history.items) - 1].max() for history in histories])
    ahead = place[np.asarray(targets) - 1] - highest
    hit = (ahead >= 1) & (ahead <= k)
    return Ranks(np.where(hit, ahead - 1, -1), hit.astype(np.int64))


def probe(
    histories: Sequence[History], targets: Sequence[int], numbers: Sequence[int], *, k: int = 10
) -> dict[str, Metric]:
    """Return HR, NDCG and MRR of that rule, with intervals over users."""
    ranks = next_number_ranks(histories, targets, numbers, k)
    return {name: interval(values) for name, values in per_user_metrics(ranks, k).items()}
