"""Do timed requests answer what was evaluated, and decoders alike? A faster wrong answer is no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.quality.evaluate import Lists
from bench.records.quality import Agreement, ListAudit
from bench.statistics.ranks import Floats, Ints
from models.catalogue import History
from models.padding import PADDING
from models.serving import Recommendations

TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-3, "int8": 5e-2}
"""Scores this close, relative to the largest of the list, may change places with the order of arithmetic."""

DIFFERENT = {"float32": 0.0, "bfloat16": 0.1, "float16": 0.1, "int8": 0.1}
"""Share of lists that may differ by more than ties: in a short number format a beam that is rounded away takes all its
items along, and the order of arithmetic hangs on the batch."""


Listed = Mapping[int, tuple[Ints, Floats]]
"""Items [K] and scores [K] of each user's list."""


def evaluated_lists(lists: Lists) -> Listed:
    """Return the lists that quality was computed from."""
    return {int(user): (lists.items[row], lists.scores[row]) for row, user in enumerate(lists.users)}


def timed_lists(answers: Mapping[int, tuple[Sequence[History], Recommendations]]) -> Listed:
    """Return the first list of each user among timed requests: their users and what they got."""
    listed: dict[int, tuple[Ints, Floats]] = {}
    for histories, recommended in answers.values():
        items, scores = recommended.items.numpy(), recommended.scores.double().numpy()
        for place, history in enumerate(histories):
            listed.setdefault(history.user, (items[place], scores[place]))
    return listed


def audit_lists(evaluated: Listed, timed: Listed, *, tolerance: float) -> ListAudit:
    """Compare timed lists with evaluated ones; users that were not evaluated are passed over.

    Args:
        evaluated: The lists that quality was computed from.
        timed: The lists that requests got.
        tolerance: Relative difference of scores that counts as a tie.

    """
    return ListAudit(**_counts(timed, evaluated, tolerance))


def too_many_differ(audit: ListAudit, dtype: str) -> bool:
    """Tell whether more timed lists differ from the evaluated ones than a number format explains.

    Args:
        audit: The counts.
        dtype: What weights and activations were kept in.

    """
    return audit.different > DIFFERENT[dtype] * audit.users


def agree(lists: Listed, others: Listed, compared_with: str, *, tolerance: float) -> Agreement:
    """Compare a decoder's lists with another's, over the users that both have.

    Args:
        lists: Lists of the one.
        others: Lists of the other.
        compared_with: What the other is called.
        tolerance: Relative difference of scores that counts as a tie.

    """
    shares = [
        np.isin(others[user][0], items).mean(where=others[user][0] != PADDING)
        for user, (items, _) in lists.items()
        if user in others and (others[user][0] != PADDING).any()
    ]
    overlap = float(np.mean(shares)) if shares else 1.0
    return Agreement(compared_with=compared_with, overlap=overlap, **_counts(lists, others, tolerance))


def _counts(lists: Listed, others: Listed, tolerance: float) -> dict[str, int]:
    """Count identical lists, those that differ in the order of ties, and the rest."""
    users = [user for user in lists if user in others]
    identical = [user for user in users if np.array_equal(lists[user][0], others[user][0])]
    rest = set(users) - set(identical)
    ties = sum(same_up_to_ties(*lists[user], *others[user], tolerance=tolerance) for user in rest)
    return {"users": len(users), "identical": len(identical), "ties": ties, "different": len(rest) - ties}


def same_up_to_ties(items: Ints, scores: Floats, other: Ints, other_scores: Floats, *, tolerance: float) -> bool:
    """Tell whether two lists [K] agree in scores, and in items but where scores are equal.

    An item that stands at different places, or in one list alone, must have a score within the
    tolerance of what the other list has at its place; for an item in one list alone that is the
    last score, since it was cut off there.
    """
    finite = np.isfinite(scores)
    if not np.array_equal(finite, np.isfinite(other_scores)):
        return False
    slack = tolerance * np.abs(other_scores[finite]).max(initial=0.0)
    if (np.abs(scores[finite] - other_scores[finite]) > slack).any():
        return False
    by_item = dict(zip(other[finite].tolist(), other_scores[finite].tolist(), strict=True))
    last = other_scores[finite][-1] if finite.any() else 0.0
    expected = np.array([by_item.get(item, last) for item in items[finite].tolist()])
    return bool((np.abs(scores[finite] - expected) <= slack).all())
