"""What lists are worth, and whether two lists are the same, as stored."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from bench.records.model import AtLeastOne, Bounded, Count, Model, Share


class Metric(Bounded):
    """A mean over users with its 95 % percentile-bootstrap interval."""

    value: float


class Hits(Model):
    """Users whose target is in their list, and where it stands; for comparisons user by user.

    Attributes:
        rows: Their places among the users that were ranked, in the order of users.
        better: Items with a higher score than the target.
        tied: Items with the target's score, itself included.

    """

    rows: list[Count] = Field(repr=False)
    better: list[Count] = Field(repr=False)
    tied: list[AtLeastOne] = Field(repr=False)

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if not len(self.rows) == len(self.better) == len(self.tied):
            raise ValueError(f"{len(self.rows)} rows, {len(self.better)} of better, {len(self.tied)} of tied")
        return self


class Quality(Model):
    """Full-ranking quality of the same weights, from the same top-K lists.

    Attributes:
        split: ``test`` or ``validation``.
        users: How many users were ranked.
        cutoff: Length K of the lists.
        seen: Whether items of the history were removed from the candidates or kept.
        metrics: ``HR@10``, ``NDCG@10``, ``MRR@20`` ... each a `Metric`. Ties count at their expectation.
        coverage: Share of the catalogue that appears in some user's list.
        valid_rate: Share of the list places that can be filled, with the items that are not removed, that hold a real
            item; in records of versions 1 to 3 of all places.
        unreachable: Targets that are in the user's own history, which is removed from the lists, so that no
            recommender can find them; None in records of versions 1 to 3.
        hits: Where the targets stand; None in records of versions 1 and 2.

    """

    split: str
    users: AtLeastOne
    cutoff: AtLeastOne
    seen: str
    metrics: dict[str, Metric]
    coverage: Share
    valid_rate: Share
    unreachable: Count | None = None
    hits: Hits | None = None

    @model_validator(mode="after")
    def _hits_are_of_users(self) -> Self:
        rows = [] if self.hits is None else self.hits.rows
        if len(set(rows)) < len(rows) or (rows and max(rows) >= self.users):
            raise ValueError(f"the rows of hits are not different users of {self.users}")
        return self


class ListAudit(Model):
    """Do the timed requests answer what was evaluated?

    Attributes:
        users: Users whose last timed list was compared with the evaluated one.
        identical: Lists equal place by place.
        ties: Lists that differ only where scores are equal to within what the dtype rounds (1e-4 in float32).
        different: All others; in float32 any makes the case an error, in shorter formats more than a tenth.

    """

    users: Count
    identical: Count
    ties: Count
    different: Count


class Agreement(Model):
    """Are a decoder's lists those of another decoder of the same weights?

    Attributes:
        compared_with: Variant of the other case, and its dtype where that is another.
        users: Users whose lists were compared.
        identical: Lists equal place by place.
        ties: Lists that differ only where scores are equal, as in `ListAudit`.
        different: All others.
        overlap: Mean share of the other list's items that this one has, too.

    """

    compared_with: str
    users: Count
    identical: Count
    ties: Count
    different: Count
    overlap: Share
