"""From ranked lists to where each user's target stands, ties included. Pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.padding import PADDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ranks:
    """Where the targets stand.

    Attributes:
        better: Items with a strictly higher score than the target, [U]; -1 if it is in no list.
        tied: Items with the target's score, itself included, [U]; 0 if it is in no list.

    """

    better: Ints
    tied: Ints


def target_ranks(items: Ints, scores: Floats, targets: Ints) -> Ranks:
    """Find each target in its list.

    Args:
        items: Ranked lists [U, K], `PADDING` where unfilled.
        scores: Their scores [U, K], non-increasing.
        targets: One item a user, [U].

    """
    hit = (items == targets[:, None]) & (items != PADDING)
    listed = hit.any(1)
    score = np.where(listed, scores[np.arange(len(items)), hit.argmax(1)], np.inf)[:, None]
    real = items != PADDING
    better = ((scores > score) & real).sum(1)
    tied = ((scores == score) & real).sum(1)
    return Ranks(np.where(listed, better, -1), np.where(listed, tied, 0))


def open_ties(items: Ints, scores: Floats, cutoff: int) -> NDArray[np.bool_]:
    """Tell which lists [U, K] end within a tie that reaches into the first `cutoff` places."""
    unfinished: NDArray[np.bool_] = (scores[:, cutoff - 1] == scores[:, -1]) & (items[:, -1] != PADDING)
    return unfinished


def hit_rate(ranks: Ranks, cutoff: int) -> Floats:
    """Return HR@cutoff of each user, expected over the random order of ties; equals Recall for one target."""
    better = ranks.better.astype(np.float64)
    places = np.clip(cutoff - better, 0, ranks.tied)
    return np.where(ranks.tied > 0, places / np.maximum(ranks.tied, 1), 0.0)


def ndcg(ranks: Ranks, cutoff: int) -> Floats:
    """Return NDCG@cutoff of each user: 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002), expected over ties."""
    return _expected_gain(ranks, 1 / np.log2(np.arange(1, cutoff + 1) + 1))


def reciprocal_rank(ranks: Ranks, cutoff: int) -> Floats:
    """Return the reciprocal rank of each user, 0 beyond `cutoff`, expected over ties."""
    return _expected_gain(ranks, 1 / np.arange(1, cutoff + 1))


def _expected_gain(ranks: Ranks, gains: Floats) -> Floats:
    """Average `gains` by rank over the ranks better + 1 .. better + tied that a target may take."""
    total = np.concatenate([[0.0], np.cumsum(gains)])
    first = np.clip(ranks.better, 0, len(gains))
    last = np.clip(ranks.better + ranks.tied, 0, len(gains))
    return np.where(ranks.tied > 0, (total[last] - total[first]) / np.maximum(ranks.tied, 1), 0.0)
