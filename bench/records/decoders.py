"""What the names of decoders say about the lists they make."""

from __future__ import annotations

from bench.records.record import FULL_VOCAB, Case

REFERENCE = "reference"
"""transformers' `generate` with the trie asked from Python: what the papers run."""

LADDER = (REFERENCE, "vectorised-trie", "exact", "compiled")
"""Decoders that keep the same beams and so make the same lists, in the order of what each saves more."""

QUANTISED = ("int8",)
"""Dtypes that make other lists, whatever the decoder."""


def keeps_the_beams(case: Case) -> bool:
    """Tell whether a case's lists must be the reference decoder's, up to ties at its dtype's precision."""
    return case.decoder in LADDER


def is_exact(case: Case) -> bool:
    """Tell whether a case's lists are those of the papers' search: its beams, its scores, weights as they are."""
    return keeps_the_beams(case) and case.scores in (None, FULL_VOCAB) and case.dtype not in QUANTISED
