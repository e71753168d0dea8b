"""What a way of ranking by inner product is: what its users and the reports must know of it, and not its name alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ranker:
    """One way of a recommender to rank all items by their inner product with a query.

    Attributes:
        name: By which it is asked for.
        kind: What it does, in words that a report shows, such as ``every item``.
        is_exact: Whether its lists are those of scoring every item, in the same numbers.
        traceable: Whether it may be part of a compiled or captured program: no size depends on what is found.
        is_counted: Whether torch's operators do its work, so that operations and bytes of it can be counted.

    """

    name: str
    kind: str
    is_exact: bool = False
    traceable: bool = False
    is_counted: bool = True


@dataclass(frozen=True)
class Built:
    """What came of building a ranker over one catalogue.

    Attributes:
        ranker: Which.
        seconds: What it took.
        nbytes: What it holds beyond the item vectors themselves.
        details: What it was built with, in words, such as ``1,024 lists, 32 searched``; empty where there is no choice.

    """

    ranker: Ranker
    seconds: float
    nbytes: int
    details: str = ""
