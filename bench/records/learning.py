"""How a training went: its learning curve, and whether it was trained to its end."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from bench.records.model import Count, Model

METRIC = "NDCG@10"

PLATEAU = 0.03
"""Relative gain below which a curve counts as flat."""

EARLY = 2 / 3
"""Share of the examples before the cool-down, the rest of which must bring less than `PLATEAU`."""


class CurvePoint(Model):
    """What a training had reached at one evaluation on validation.

    Attributes:
        step: Steps of the optimizer so far.
        epochs: Epochs so far.
        examples: Examples seen so far.
        minutes: Minutes of training so far, evaluation included; None where it was not kept.
        metrics: Metrics of validation users, by name such as ``NDCG@10``.

    """

    step: Count
    epochs: float
    examples: Count
    minutes: float | None = None
    metrics: dict[str, float]


class Ending(StrEnum):
    """Whether more training would have helped."""

    FINISHED = "finished"
    """The curve was flat: the last third of the examples before the cool-down, or the whole cool-down, brought less
    than 3 %, or patience ended it."""
    CUT_SHORT = "cut short"
    """Quality still rose when its epochs or minutes were over."""


def ending(curve: Sequence[CurvePoint], *, cooldown: float, patience: int) -> Ending | None:
    """Judge a training by its curve.

    Args:
        curve: What each evaluation found, in order.
        cooldown: Last part of the training over which the learning rate fell, from 0 to 1: then every curve rises.
        patience: Evaluations without a better value after which training stops.

    Returns:
        None where there is no curve.

    """
    if not curve:
        return None
    values = [point.metrics.get(METRIC, 0.0) for point in curve]
    if len(values) - 1 - values.index(max(values)) >= patience:
        return Ending.FINISHED
    steady = [point for point in curve if point.examples <= (1 - cooldown) * curve[-1].examples]
    early = [point for point in steady if point.examples <= EARLY * steady[-1].examples]
    flat = _brought_little(early, steady) or (cooldown > 0 and _brought_little(steady, curve))
    return Ending.FINISHED if flat else Ending.CUT_SHORT


def _brought_little(before: Sequence[CurvePoint], after: Sequence[CurvePoint]) -> bool:
    """Tell whether the best of a longer part of a curve is hardly better than that of a shorter one."""
    first, last = (max((point.metrics.get(METRIC, 0.0) for point in some), default=0.0) for some in (before, after))
    return 0 < last < (1 + PLATEAU) * first
