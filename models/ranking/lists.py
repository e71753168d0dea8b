"""From scores to lists: the greatest first, and of equal ones the item with the lower number."""

from __future__ import annotations

import torch
from torch import Tensor

from models.padding import PADDING
from models.serving import Recommendations

GROUP = 64
"""Neighbouring scores of which the maximum is taken first."""

WORTH_GROUPING = 1 << 18
"""Number of scores from which taking maxima of groups first is quicker than `torch.topk` of all (`bench_ranking`)."""

_LOW = (1 << 31) - 1


def top_items(scores: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
    """Rank the catalogue by scores that are at hand.

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
    return lists(*top_k(scores, min(k, scores.shape[1])), k)


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k greatest of [B, n] and their places, [B, k] each; of equal scores the lower place comes first.

    The maximum of each `GROUP` neighbours comes first: the best k lie in the k groups with the greatest maxima, of
    equal ones the lower, because each other group has k scores before its own. Then those k groups are searched, and
    what is left over at the end.
    """
    users, items = scores.shape
    groups = items // GROUP
    if users * items < WORTH_GROUPING or groups < 4 * k:
        return _lower_place_first(scores, k)
    grouped = scores[:, : groups * GROUP].unflatten(1, (groups, GROUP))  # [B, groups, GROUP]
    chosen = _lower_place_first(grouped.amax(2), k)[1].sort(1).values  # [B, k]
    nominees = grouped.gather(1, chosen[..., None].expand(-1, -1, GROUP)).flatten(1)
    rest = torch.arange(groups * GROUP, items, device=scores.device).expand(users, -1)
    places = (chosen[..., None] * GROUP + torch.arange(GROUP, device=scores.device)).flatten(1)
    best, kept = _lower_place_first(torch.cat([nominees, scores[:, groups * GROUP :]], 1), k)
    return best, torch.cat([places, rest], 1).gather(1, kept)


def _lower_place_first(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Do the same over all scores at once. `torch.topk` says nothing of equal ones; most often there are none."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined]  # to count operations; it knows no keys
        return scores.topk(k, dim=1)
    if scores.device.type == "cpu" and not torch.compiler.is_compiling():  # elsewhere looking would mean waiting
        best, places = scores.topk(min(k + 1, scores.shape[1]), dim=1)
        if not bool((best[:, 1:] == best[:, :-1]).any()):
            return best[:, :k], places[:, :k]
    places = _keys(scores).topk(k, dim=1).indices
    return scores.gather(1, places), places


def _keys(scores: Tensor) -> Tensor:
    """Return int64 [B, n] in the order of scores [B, n], of equal scores the lower place greater; none are equal."""
    bits = (scores.float() + 0.0).view(torch.int32)  # -0.0 becomes 0.0
    rising = bits ^ ((bits >> 31) & _LOW)  # as integers, negative floats fall
    places = torch.arange(scores.shape[1], device=scores.device)
    return (rising.long() << 32) | (_LOW - places)


def lists(best: Tensor, items: Tensor, k: int) -> Recommendations:
    """Make lists of length k of what was found, `PADDING` in place of removed items.

    Args:
        best: Scores, best first, [B, at most k]; -inf where there is no item.
        items: Their items, int64.
        k: Length of the lists.

    """
    items = items.masked_fill(best == -torch.inf, PADDING)
    missing = k - items.shape[1]
    if missing > 0:
        best = torch.nn.functional.pad(best, (0, missing), value=-torch.inf)
        items = torch.nn.functional.pad(items, (0, missing), value=PADDING)
    return Recommendations(items, best.float())
