"""Do timed requests answer what was evaluated? A faster wrong answer is no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.quality.evaluate import Lists
from bench.quality.ranks import Floats, Ints
from bench.results.record import ListAudit
from models.recommender import History, Recommendations

TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-3}
"""Scores this close, relative to their size, may change places with the order of arithmetic."""


def audit_lists(
    evaluated: Lists, answers: Mapping[int, tuple[Sequence[History], Recommendations]], *, tolerance: float
) -> ListAudit:
    """Compare the last timed list of each user with the evaluated one.

    Args:
        evaluated: Lists of all users.
        answers: Timed requests: their users and what they got.
        tolerance: Relative difference of scores that counts as a tie.

    """
    rows = {int(user): row for row, user in enumerate(evaluated.users)}
    seen: set[int] = set()
    identical = ties = 0
    for histories, found in answers.values():
        items, scores = found.items.numpy(), found.scores.double().numpy()
        for place, history in enumerate(histories):
            row = rows.get(history.user)
            if row is None or history.user in seen:
                continue
            seen.add(history.user)
            if np.array_equal(items[place], evaluated.items[row]):
                identical += 1
            elif same_up_to_ties(
                items[place], scores[place], evaluated.items[row], evaluated.scores[row], tolerance=tolerance
            ):
                ties += 1
    return ListAudit(users=len(seen), identical=identical, ties=ties, different=len(seen) - identical - ties)


def same_up_to_ties(items: Ints, scores: Floats, other: Ints, other_scores: Floats, *, tolerance: float) -> bool:
    """Tell whether two lists [K] agree in scores, and in items but where scores are equal.

    An item that stands at different places, or in one list alone, must have a score within the
    tolerance of what the other list has at its place; for an item in one list alone that is the
    last score, since it was cut off there.
    """
    finite = np.isfinite(scores)
    if not np.array_equal(finite, np.isfinite(other_scores)):
        return False
    slack = tolerance * np.maximum(1.0, np.abs(other_scores[finite]))
    if (np.abs(scores[finite] - other_scores[finite]) > slack).any():
        return False
    by_item = dict(zip(other[finite].tolist(), other_scores[finite].tolist(), strict=True))
    last = other_scores[finite][-1] if finite.any() else 0.0
    expected = np.array([by_item.get(item, last) for item in items[finite].tolist()])
    return bool((np.abs(scores[finite] - expected) <= tolerance * np.maximum(1.0, np.abs(expected))).all())
