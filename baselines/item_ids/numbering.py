"""Which item-ID scheme is used, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from baselines.item_ids.collaborative import Clusters, cluster_tokens, collaborative_ids, default_clusters
from baselines.item_ids.sequential import LEAKY_LABEL, leaky_ids, sequential_ids
from baselines.item_ids.shuffled import random_ids
from models import recommender
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.identified import ItemNumbers


class Numbering(StrEnum):
    """How items are given their IDs."""

    RANDOM = "random"
    SEQUENTIAL = "sequential"
    SEQUENTIAL_LEAKY = "sequential-leaky"
    COLLABORATIVE = "collaborative"

    @property
    def labels(self) -> tuple[str, ...]:
        """Cautions to show beside every result that was reached with it."""
        return (LEAKY_LABEL,) if self is Numbering.SEQUENTIAL_LEAKY else ()


class Settings(recommender.Settings):
    """Settings of whatever generates item IDs.

    Attributes:
        numbering: The item-ID scheme.
        leaf_size: Collaborative IDs: most items of a group that is not split further, and the
            number of added tokens; None goes by the size of the catalogue.
        cluster_count: Collaborative IDs: groups that a larger one is split into; None likewise.

    """

    numbering: Numbering = Numbering.COLLABORATIVE
    leaf_size: int | None = Field(default=None, ge=2, le=10**6)
    cluster_count: int | None = Field(default=None, ge=2, le=10**6)


@dataclass(frozen=True)
class Numbered:
    """A catalogue's IDs.

    Attributes:
        ids: ID of item i at ``ids[i - 1]``.
        words: Parts of IDs that must be one token each.

    """

    ids: list[str]
    words: list[str]


def number_items(catalogue: Catalogue, histories: Sequence[History], settings: Settings) -> Numbered:
    """Give every item its ID.

    Raises:
        UserError: A leaky numbering of a catalogue that does not tell the order of appearance, or
            more clusters than there are tokens to tell them apart.

    """
    items = len(catalogue)
    match settings.numbering:
        case Numbering.RANDOM:
            return Numbered(random_ids(items, settings.seed), [])
        case Numbering.SEQUENTIAL:
            return Numbered(sequential_ids(items, histories, settings.seed), [])
        case Numbering.SEQUENTIAL_LEAKY:
            return Numbered(leaky_ids(catalogue), [])
        case Numbering.COLLABORATIVE:
            clusters = _clusters(items, settings)
            return Numbered(collaborative_ids(items, histories, clusters, settings.seed), cluster_tokens(clusters))


def numberings(catalogue: Catalogue, histories: Sequence[History], settings: Settings) -> list[ItemNumbers]:
    """Number a catalogue in every way there is: digits as they are, clusters by the order of their paths."""
    item_numbers = [ItemNumbers("catalogue", tuple(range(1, len(catalogue) + 1)))]
    for numbering in Numbering:
        try:
            ids = number_items(catalogue, histories, settings.model_copy(update={"numbering": numbering})).ids
        except UserError:
            continue  # the catalogue does not tell the order of appearance
        keys = [tuple(map(int, re.findall(r"[0-9]+", written))) for written in ids]
        place = {key: number for number, key in enumerate(sorted(keys), 1)}
        item_numbers.append(ItemNumbers(numbering.value, tuple(place[key] for key in keys), numbering.labels))
    return item_numbers


def _clusters(items: int, settings: Settings) -> Clusters:
    usual = default_clusters(items)
    leaf_size = settings.leaf_size or usual.leaf_size
    count = settings.cluster_count or min(usual.count, leaf_size)
    if count > leaf_size:
        raise UserError(
            f"cluster_count {count} is more than leaf_size {leaf_size}, so siblings would share a token: lower it"
        )
    return Clusters(leaf_size, count)
