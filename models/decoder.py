"""What a way of searching for lists is: what its users and the reports must know of it, and not its name alone."""

from __future__ import annotations

from dataclasses import dataclass

BEAM_SEARCH = "beam search"

ALL_ITEMS = "all items"
"""What a decoder is that scores every item of the catalogue."""


@dataclass(frozen=True)
class Decoder:
    """One way of a recommender to search for its lists. A recommender with a search of another kind declares it so.

    Attributes:
        name: By which it is asked for.
        kind: What it is, in words that a report shows, such as ``beam search`` or ``a set of tokens in one pass``.
        has_beams: Whether one chooses how many beams it keeps.
        rung: Where it stands among the decoders that make the same lists, 0 for what the papers run, higher for what
            saves more; None where it makes lists of its own.
        compiles: Whether the first request of each size takes long, because a program is made for it.

    """

    name: str
    kind: str = BEAM_SEARCH
    has_beams: bool = True
    rung: int | None = None
    compiles: bool = False
