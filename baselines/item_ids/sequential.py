"""Sequential item IDs: numbers in order of first appearance, so that neighbours share digits.

P5 (Geng et al. 2022, arXiv 2203.13366) numbered items over whole sequences, test targets included:
an item that only appears late then has a number that gives it away. `sequential_ids` counts the
training part alone; `leaky_ids` is P5's own numbering, kept to show what the leak is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baselines.item_ids.shuffled import FIRST_ID
from models.catalogue import Catalogue, History
from models.errors import UserError

LEAKY_LABEL = "leaky item IDs (P5's numbering)"
"""Stands beside every result that was reached with `leaky_ids`."""


def sequential_ids(items: int, histories: Sequence[History], seed: int) -> list[str]:
    """Number items by first appearance over the training histories, in the order of users.

    Items that no training history holds come last, in seeded random order: their place among
    each other must not tell anything.

    Returns:
        The IDs of items 1..n, item i at ``[i - 1]``.

    """
    first = dict.fromkeys(item for history in histories for item in history.items)
    rest = [item for item in range(1, items + 1) if item not in first]
    return _numbered([*first, *np.random.default_rng(seed).permutation(rest).tolist()])


def leaky_ids(catalogue: Catalogue) -> list[str]:
    """Number items by first appearance over whole sequences, as P5 did. This leaks the answer.

    Raises:
        UserError: The catalogue does not tell the order of appearance.

    """
    if sorted(catalogue.appearance) != list(range(1, len(catalogue) + 1)):
        raise UserError(
            f"{catalogue.name} does not tell in which order its {len(catalogue)} items first appear: "
            "use another numbering than sequential-leaky"
        )
    return _numbered(catalogue.appearance)


def _numbered(order: Sequence[int]) -> list[str]:
    ids = [""] * len(order)
    for number, item in enumerate(order, FIRST_ID):
        ids[item - 1] = str(number)
    return ids
