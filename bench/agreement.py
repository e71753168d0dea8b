"""Which decoders of one recommender are compared by their lists, and what comes of it."""

from __future__ import annotations

from bench.audit import TOLERANCE, Listed, agree
from bench.results.decoders import LADDER, keeps_the_beams
from bench.results.record import Agreement, Case


class Agreements:
    """Remembers the lists of a run's decoders, and compares each with the surest one before it.

    The surest is the lowest rung of the ladder that was measured: the reference decoder if it was, of the
    same dtype, scores and batch size if they were.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Case, Listed]] = {}

    def add(self, case: Case, lists: Listed) -> None:
        """Remember the lists of a case; cases without a decoder are passed over."""
        if case.decoder is not None:
            self._known[case.name] = (case, lists)

    def of(self, case: Case) -> Agreement | None:
        """Compare a remembered case with the surest other one; None where there is none, or it is that itself."""
        if case.name not in self._known:
            return None
        _, lists = self._known[case.name]
        candidates = [
            (_unsureness(other, case), other.name)
            for other, others in self._known.values()
            if keeps_the_beams(other) and _same_weights(other, case) and lists.keys() & others.keys()
        ]
        if not candidates or min(candidates)[1] == case.name:
            return None
        other, others = self._known[min(candidates)[1]]
        dtype = "" if other.dtype == case.dtype else f", {other.dtype}"
        return agree(lists, others, f"{other.variant}{dtype}", tolerance=TOLERANCE[case.dtype])


def _same_weights(first: Case, second: Case) -> bool:
    """Tell whether two cases rank by the same weights, with as many beams; what has no beams goes with all."""
    one, other = (
        (case.recommender, case.settings, case.weights, case.dataset_variant, case.k, case.seen)
        for case in (first, second)
    )
    widths = {first.beam_width, second.beam_width} - {None}
    return one == other and len(widths) <= 1


def _unsureness(other: Case, case: Case) -> tuple[bool, bool, bool, bool, bool, int, int]:
    """Order what a case can be compared with, the surest first."""
    assert other.decoder is not None
    return (
        other.dtype not in (case.dtype, "float32"),
        other.decoder != LADDER[0],
        other.scores != case.scores,
        other.dtype != case.dtype,
        other.batch_size != case.batch_size,
        LADDER.index(other.decoder),
        -(other.beam_width or 0),
    )
