"""Which decoders of one recommender are compared by their lists, and what comes of it."""

from __future__ import annotations

import numpy as np

from bench.records.case import Case
from bench.records.decoders import FULL_VOCAB
from bench.records.quality import Agreement
from bench.running.audit import TOLERANCE, Listed, agree
from bench.running.unfinished import Unfinished


class Agreements:
    """Remembers the lists of a run's decoders, and compares each with the surest of those below it.

    Below a case is what stands lower on the ladder: scores over the whole vocabulary are below renormalised
    ones, then the reference decoder is below the others, then float32 below other dtypes. Of those the surest
    is the reference decoder, with the same scores, dtype and batch size if they were measured.

    Args:
        unfinished: Keeps the lists, so that they outlive the process that made them.

    """

    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished
        self._known: dict[str, tuple[Case, Listed]] = {}
        for case, users, items, scores in unfinished.answers():
            rows = zip(users.tolist(), items, scores, strict=True)
            self._known[case.name] = case, {user: (its_items, its_scores) for user, its_items, its_scores in rows}

    def add(self, case: Case, lists: Listed) -> None:
        """Remember the lists of a case; cases without a decoder are passed over."""
        if case.decoder is not None:
            self._known[case.name] = (case, lists)
            items, scores = zip(*lists.values(), strict=True)
            self._unfinished.keep_answers(case, np.array(list(lists)), np.stack(items), np.stack(scores))

    def of(self, case: Case) -> Agreement | None:
        """Compare a remembered case with the surest one below it; None where there is none."""
        if case.name not in self._known:
            return None
        _, lists = self._known[case.name]
        below = [
            (other, others)
            for other, others in self._known.values()
            if other.keeps_the_beams
            and _height(other) < _height(case)
            and _same_weights(other, case)
            and lists.keys() & others.keys()
        ]
        if not below:
            return None
        other, others = min(below, key=lambda pair: _unsureness(pair[0], case))
        dtype = "" if other.dtype == case.dtype else f", {other.dtype}"
        return agree(lists, others, f"{other.variant}{dtype}", tolerance=TOLERANCE[case.dtype])


def _same_weights(first: Case, second: Case) -> bool:
    """Tell whether two cases rank by the same weights, with as many beams; what has no beams goes with all."""
    first_key, second_key = (
        (case.recommender, case.settings, case.weights, case.dataset_variant, case.k, case.seen)
        for case in (first, second)
    )
    widths = {first.beam_width, second.beam_width} - {None}
    return first_key == second_key and len(widths) <= 1


def _height(case: Case) -> tuple[bool, int, bool]:
    """Return where a case stands on the ladder."""
    return case.scores != FULL_VOCAB, case.rung, case.dtype != "float32"


def _unsureness(other: Case, case: Case) -> tuple[bool, bool, bool, bool, int, int]:
    """Order what a case can be compared with, the surest first."""
    return (
        not other.is_reference,
        other.scores != case.scores,
        other.dtype != case.dtype,
        other.batch_size != case.batch_size,
        other.rung,
        -(other.beam_width or 0),
    )
