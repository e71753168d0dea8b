"""What every ranked list must be, checked wherever one is taken: a broken list that is timed or ranked looks right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.catalogue import History
from models.errors import UserError
from models.padding import PADDING
from models.ragged import pad
from models.recommender import Recommender
from models.serving import Recommendations, SeenItems


class BrokenListError(UserError):
    """A recommender's lists are not what `models.serving.Recommendations` says they are."""


def check_lists(
    recommender: Recommender, lists: Recommendations, histories: Sequence[History], *, k: int, items: int | None = None
) -> None:
    """See that lists keep the contract of `Recommender.recommend`.

    Args:
        recommender: Whose lists; named in the error, and asked whether seen items may come back.
        lists: Lists on the host, items and scores [B, k].
        histories: The users that asked, [B].
        k: Places that were asked for.
        items: Size n of the catalogue; None does not check the upper end.

    Raises:
        BrokenListError: Names the recommender, what it broke, and the first user for whom it did.

    """
    broken = _broken_shape(lists, len(histories), k)
    if broken is None:
        for what, rows in _broken_rows(lists, histories, recommender.serving.seen, items):
            if rows.any():
                user = histories[int(rows.nonzero()[0, 0])].user
                broken = f"{what} ({int(rows.sum())} of {len(histories)} lists, the first of user {user})"
                break
    if broken is not None:
        raise BrokenListError(
            f"{type(recommender).__name__} breaks the contract of lists: {broken}; "
            "Recommendations in models/recommender.py says what a list must be"
        )


def _broken_shape(lists: Any, users: int, k: int) -> str | None:
    wanted = (users, k)
    for name, tensor in (("items", lists.items), ("scores", lists.scores)):
        if not isinstance(tensor, Tensor):
            return f"{name} is of type {type(tensor).__name__}, not a tensor"
        if tuple(tensor.shape) != wanted:
            return f"{name} has the shape {list(tensor.shape)} instead of {list(wanted)} (users, places)"
    if lists.items.dtype != torch.int64:
        return f"items has the type {lists.items.dtype} instead of torch.int64"
    return None if lists.scores.is_floating_point() else f"scores has the type {lists.scores.dtype}, which is no float"


def _broken_rows(
    lists: Recommendations, histories: Sequence[History], seen: SeenItems, items: int | None
) -> list[tuple[str, Tensor]]:
    """Return each rule in words, beside which lists break it, bool [B]; NaN comes first, since it breaks others too."""
    numbers, scores = lists.items, lists.scores
    most = int(numbers.max()) if items is None and numbers.numel() else items or 0
    empty = numbers == PADDING
    ordered = numbers.sort(1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PADDING)
    rules = [
        ("a score is NaN", scores.isnan().any(1)),
        (f"an item lies outside of 0 to {most}", ((numbers < 0) | (numbers > most)).any(1)),
        ("an item stands there twice", twice.any(1)),
        ("a real item has a score that is not finite", (~empty & ~scores.isfinite()).any(1)),
        ("an unfilled place has a score other than -inf", (empty & (scores != -torch.inf)).any(1)),
        ("scores rise along the list", (scores[:, 1:] > scores[:, :-1]).any(1)),
    ]
    if seen is SeenItems.REMOVE:
        rules.append(("an item of the user's history came back", _came_back(numbers, histories)))
    return rules


def _came_back(numbers: Tensor, histories: Sequence[History]) -> Tensor:
    """Tell in which lists [B, k] an item of the history stands, bool [B]."""
    seen_items = pad([history.items for history in histories]).sort(1).values  # [B, H]
    place = torch.searchsorted(seen_items, numbers.contiguous()).clamp(max=seen_items.shape[1] - 1)
    return ((seen_items.gather(1, place) == numbers) & (numbers != PADDING)).any(1)
