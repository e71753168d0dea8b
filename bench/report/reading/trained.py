"""Whether a quality may be held against another: only where both were trained to their end."""

from __future__ import annotations

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.records.record import Weights
from bench.report.reading.labels import NONE, listed
from bench.report.reading.naming import Told, label_of

UNTOLD = "not known"
"""In the place of a verdict where no learning curve was kept."""


def how_trained(told: Told) -> str:
    """Say whether more training would have helped: ``finished``, ``cut short``, ``not known``, or ``none`` to train."""
    if told.case.weights is not WeightsKind.TRAINED or told.weights is None:
        return NONE
    return verdict(told.weights)


def verdict(weights: Weights) -> str:
    """Say of weights that were trained whether more training would have helped.

    Without a learning curve nobody knows, but that a training that saw less than its examples was cut short.
    """
    if weights.ending is not None:
        return weights.ending.value
    return UNTOLD if weights.part_of_an_epoch is None else Ending.CUT_SHORT.value


def to_the_end(told: Told) -> bool:
    """Tell whether weights were trained to their end, or need no training."""
    return how_trained(told) in (NONE, Ending.FINISHED.value)


def not_compared(*several: Told) -> str:
    """Say why the qualities of some cases are not held against each other; empty where they may be."""
    by_verdict: dict[str, list[str]] = {}
    for told in several:
        by_verdict.setdefault(how_trained(told), []).append(label_of(told))
    cut, untold = (list(dict.fromkeys(by_verdict.get(verdict, []))) for verdict in (Ending.CUT_SHORT.value, UNTOLD))
    said = [f"the training of {listed(cut)} was cut short"] if cut else []
    ends = "were trained to their ends" if len(untold) > 1 else "was trained to its end"
    said += [f"nobody knows whether {listed(untold)} {ends}"] if untold else []
    return ", and ".join(said)
