"""What kind of recommender a case is, read from its record alone: pages give each kind one colour."""

from __future__ import annotations

from enum import StrEnum

from bench.records.case import WeightsKind
from bench.report.reading.naming import Told


class Family(StrEnum):
    """A kind of recommender."""

    IDS = "one pass, item IDs"
    TEXT = "one pass, text"
    BEAMS = "beam search"
    SEARCH = "another search"
    COUNTED = "no training"


def family_of(told: Told) -> Family:
    """Tell the family of a case: by its search, by whether it was trained, and by whether it reads text."""
    case = told.case
    if case.search is not None:
        beams = case.search.has_beams or case.search.rung is not None or case.search.kind == "all items"
        return Family.BEAMS if beams else Family.SEARCH
    if case.weights is WeightsKind.AS_BUILT:
        return Family.COUNTED
    return Family.TEXT if told.weights is not None and told.weights.tokenizer else Family.IDS
