"""What a record says of the search behind its lists, and what follows from it."""

from __future__ import annotations

from bench.records.model import Count, Model

FULL_VOCAB = "full-vocab"
"""The usual scores of generated items; see `models.serving.Scores`."""

QUANTISED = ("int8",)
"""Dtypes that make other lists, whatever the decoder."""


class Search(Model):
    """What a decoder is; see `models.decoder.Decoder`.

    Attributes:
        kind: In words, such as ``beam search``.
        has_beams: Whether it keeps a number of beams.
        rung: Its place among those that make the papers' lists, 0 for what the papers run; None for lists of its own.

    """

    kind: str
    has_beams: bool = True
    rung: Count | None = None


UNKNOWN = Search(kind="a search of its own")

BEFORE_VERSION_5 = {
    "reference": Search(kind="beam search", rung=0),
    "vectorised-trie": Search(kind="beam search", rung=1),
    "exact": Search(kind="beam search", rung=2),
    "compiled": Search(kind="beam search", rung=3),
    "exhaustive": Search(kind="all items", has_beams=False),
}
"""What the decoders of older records were, which say only how these were called."""
