"""How many items of a history a recommender reads."""

from __future__ import annotations

from bench.records.case import Case
from bench.report.reading.naming import Told

HISTORY_SETTINGS = ("max_history", "max_length")
"""How recommenders call the most items that they read."""


def longest(told: Told) -> int | None:
    """Return how many items of a history are read at most; None where that is not known."""
    settings = told.case.settings | (told.weights.settings if told.weights is not None else {})
    length = next((settings[name] for name in HISTORY_SETTINGS if settings.get(name) is not None), None)
    return int(length) if isinstance(length, int | float) else None


def is_chosen(case: Case) -> bool:
    """Tell whether the length was set for this case, in place of the recommender's own."""
    return any(name in case.settings for name in HISTORY_SETTINGS)


def match(first: Told, second: Told) -> bool:
    """Tell whether two cases may be held against each other: a length that was set must be that of both."""
    if not (is_chosen(first.case) or is_chosen(second.case)):
        return True
    lengths = {longest(first), longest(second)}
    return len(lengths) == 1 or None in lengths
