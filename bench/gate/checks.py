"""What is compared exactly: a change that needs more work, or answers otherwise, is seen without a clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from bench.records.gate import Check, Facts, RankedUser, Violation
from bench.running.audit import TOLERANCE, Listed, same_up_to_ties

MEMORY_SLACK = 0.001
"""Share by which peak memory may grow: allocators round sizes up."""

COUNTS = {
    Check.FLOPS: ("flops_per_user", "FLOPs per user", 0.0),
    Check.OPERATORS: ("operators", "dispatched operators", 0.0),
    Check.PARAMETERS: ("parameters", "parameters", 0.0),
    Check.MEMORY: ("peak_bytes", "peak bytes of a request", MEMORY_SLACK),
}
"""Attribute of the facts, its name in words, and the share by which it may grow."""


def compare_facts(base: Facts, head: Facts, *, dtype: str, accepted: Collection[Check]) -> list[Violation]:
    """Return the checks that head does not pass; what one side does not know is passed over.

    Args:
        base: What is compared with.
        head: What is judged.
        dtype: Number format of the case, which decides what scores are equal.
        accepted: Checks whose failure is told and forgiven.

    """
    said: list[tuple[Check, str]] = []
    for check, (attribute, words, slack) in COUNTS.items():
        before, after = getattr(base, attribute), getattr(head, attribute)
        if before is not None and after is not None and after > before * (1 + slack):
            said.append((check, f"{words}: {after:,.0f}, base {before:,.0f}{_growth(before, after)}"))
    if base.lists and head.lists and (different := _lists_differ(base.lists, head.lists, TOLERANCE[dtype])):
        said.append((Check.LISTS, different))
    if base.quality is not None and head.quality is not None:
        common = [name for name in ("NDCG@10", "NDCG@5", "NDCG@1") if name in base.quality.metrics]
        before, after = (quality.metrics[common[0]] for quality in (base.quality, head.quality))
        if after.value < before.low:
            interval = f"[{before.low:.4f}, {before.high:.4f}]"
            words = f"{common[0]} {after.value:.4f} lies below base's {before.value:.4f} {interval}"
            said.append((Check.QUALITY, words))
    return [Violation(check=check, said=words, accepted=check in accepted) for check, words in said]


def unsteady(first: Facts, second: Facts, *, dtype: str) -> set[Check]:
    """Return the checks that the same code does not pass against itself: such a check says nothing."""
    both = (
        compare_facts(first, second, dtype=dtype, accepted=()),
        compare_facts(second, first, dtype=dtype, accepted=()),
    )
    return {violation.check for violations in both for violation in violations}


def _growth(before: float, after: float) -> str:
    return f" ({(after / before - 1):+.2%})" if before else ""


def _lists_differ(base: Sequence[RankedUser], head: Sequence[RankedUser], tolerance: float) -> str:
    """Say how many users get other lists and show one; empty where none does."""
    before, after = _listed(base), _listed(head)
    if before.keys() != after.keys():
        return "other users were asked: the dataset or its order changed"
    different = [
        user
        for user in before
        if len(before[user][0]) != len(after[user][0])
        or not same_up_to_ties(*after[user], *before[user], tolerance=tolerance)
    ]
    if not different:
        return ""
    user = different[0]
    shown = [", ".join(map(str, side[user][0][:5].tolist())) for side in (after, before)]
    return (
        f"{len(different)} of {len(before)} users get another top {len(before[user][0])}: "
        f"user {user} {shown[0]} ..., base {shown[1]} ..."
    )


def _listed(lists: Sequence[RankedUser]) -> Listed:
    return {listed.user: (np.array(listed.items, dtype=np.int64), np.array(listed.scores)) for listed in lists}
