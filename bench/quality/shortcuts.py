"""How far can a dataset be solved by looking things up: what follows the last item, what is described like it?

After arXiv 2605.07125 (2026), which names three structures by which public benchmarks of sequential recommendation are
solved without training: transitions with few branches, transitions between items with similar features, and little
dependence on long histories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from transformers import BatchFeature

from models.catalogue import Catalogue, History
from models.item_words import tf_idf
from models.ragged import pad
from models.recommender import Recommender
from models.serving import SeenItems


@dataclass(frozen=True)
class Structure:
    """What of a dataset invites shortcuts.

    Attributes:
        branching: How many items follow an item, as many as equally likely ones would be: two to the power of the
            entropy of what follows, weighted by how often items occur.
        follows: Share of targets that directly follow the user's last item in some training history.
        same_brand: Share of targets with the last item's brand; None where no item has one.
        same_category: Share of targets with the last item's most specific category; None where no item has one.
        smoothness: Mean cosine of the TF-IDF vectors of last item and target; None where items have no words.
        by_chance: The same of last items and targets of other users, drawn at random.

    """

    branching: float
    follows: float
    same_brand: float | None
    same_category: float | None
    smoothness: float | None
    by_chance: float | None


def structure(
    catalogue: Catalogue,
    training: Sequence[History],
    histories: Sequence[History],
    targets: Sequence[int],
    *,
    seed: int = 0,
) -> Structure:
    """Describe a dataset.

    Args:
        catalogue: The items.
        training: Training histories, from which transitions are counted.
        histories: What is known of each user who is ranked, [U], not empty.
        targets: The item that each of them took next, [U].
        seed: Decides which users are compared by chance.

    """
    pairs = Counter(pair for history in training for pair in zip(history.items[:-1], history.items[1:], strict=True))
    last = np.array([history.items[-1] for history in histories])
    goals = np.asarray(targets)
    follows = float(np.mean([(item, goal) in pairs for item, goal in zip(last.tolist(), goals.tolist(), strict=True)]))
    brands = ["", *(item.brand for item in catalogue.items)]
    kinds = ["", *(item.categories[-1] if item.categories else "" for item in catalogue.items)]
    others = np.random.default_rng(seed).permutation(goals)
    words = tf_idf(catalogue)
    told = bool(words.nnz)
    return Structure(
        branching=_branching(pairs),
        follows=follows,
        same_brand=_same(brands, last.tolist(), goals.tolist()),
        same_category=_same(kinds, last.tolist(), goals.tolist()),
        smoothness=float((words[last] * words[goals]).sum(axis=1).mean()) if told else None,
        by_chance=float((words[last] * words[others]).sum(axis=1).mean()) if told else None,
    )


@contextmanager
def forgetting(recommender: Recommender, count: int) -> Iterator[None]:
    """Let a recommender know the newest items alone; all that a user has seen is removed from the lists as before.

    Args:
        recommender: Whose `prepare` is replaced in the body.
        count: Items of each history that are known.

    """
    prepare = recommender.prepare

    def prepared(histories: Sequence[History]) -> BatchFeature:
        batch = prepare(newest(histories, count))
        if recommender.serving.seen is SeenItems.REMOVE:
            batch["seen_items"] = pad([history.items for history in histories])
        return batch

    vars(recommender)["prepare"] = prepared
    try:
        yield
    finally:
        del vars(recommender)["prepare"]


def newest(histories: Sequence[History], count: int) -> list[History]:
    """Return histories of which nothing but the newest `count` items is known."""
    return [History(history.user, history.items[-count:]) for history in histories]


def _branching(pairs: Counter[tuple[int, int]]) -> float:
    """Return two to the power of the mean entropy of what follows an item; 0 where nothing follows anything."""
    following: dict[int, list[int]] = {}
    for (first, _), count in pairs.items():
        following.setdefault(first, []).append(count)
    total = sum(pairs.values())
    entropy = 0.0
    for counts in following.values():
        shares = np.array(counts) / sum(counts)
        entropy += sum(counts) / total * float(-(shares * np.log2(shares)).sum())
    return 2.0**entropy if total else 0.0


def _same(labels: Sequence[str], last: Sequence[int], goals: Sequence[int]) -> float | None:
    """Return the share of targets that have their last item's label; None where no item has one."""
    if not any(labels):
        return None
    pairs = [(labels[item], labels[other]) for item, other in zip(last, goals, strict=True)]
    return sum(label == other != "" for label, other in pairs) / len(pairs)
