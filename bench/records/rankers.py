"""What a record says of what ranked the catalogue, and of what that missed."""

from __future__ import annotations

from pydantic import Field

from bench.records.model import AtLeastOne, Count, Model, NonNegative, Share

MOST_LOST = 0.01
"""Share of NDCG@10 that a ranker may lose and still be held against beams; without quality, share of the items."""


class Ranking(Model):
    """What a ranker is; see `models.ranker.Ranker`.

    Attributes:
        kind: In words, such as ``clusters of items``.
        is_exact: Whether its lists are those of scoring every item.

    """

    kind: str
    is_exact: bool = False


class Ranked(Model):
    """What a ranker took, and how its lists compare with those of scoring every item with the same weights.

    Attributes:
        build_s: Seconds to build it over the catalogue, part of indexing.
        bytes: What it holds beyond the item vectors.
        details: What it was built with, in words.
        users: Users whose lists were compared.
        recall: Mean share of the exact list's items that its list has, too: recall@K.
        identical: Lists equal place by place.
        proven: Share of the lists of which a bound proves that they are exact; None without a bound.
        ndcg_exact: NDCG@10 of scoring every item, of the users whose quality was measured; None without quality.
        ndcg_lost: Share of that which is lost; negative where it gains by chance. None without quality, or where all
            targets are missed.

    """

    build_s: NonNegative
    bytes: Count
    details: str = ""
    users: AtLeastOne
    recall: Share
    identical: Count
    proven: Share | None = None
    ndcg_exact: NonNegative | None = None
    ndcg_lost: float | None = Field(default=None, le=1)

    @property
    def loses_little(self) -> bool:
        """Whether no more than `MOST_LOST` is lost: of NDCG@10, without quality of the exact lists' items."""
        lost = 1 - self.recall if self.ndcg_lost is None else self.ndcg_lost
        return lost <= MOST_LOST
