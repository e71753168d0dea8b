"""Recommenders that know items by identifiers of their own making: codes, or numbers whose order can leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from models.catalogue import Catalogue, History
from models.recommender import Settings


@runtime_checkable
class CodesItems(Protocol):
    """A class of recommenders that know items by a few codes each, made without training."""

    @classmethod
    def code_schemes(cls, catalogue: Catalogue, settings: Settings) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """Code items 1..n in every way there is, by what the way is called.

        Raises:
            UserError: The items cannot be told apart by so many codes.

        """


@dataclass(frozen=True)
class ItemNumbers:
    """One way of numbering a catalogue.

    Attributes:
        name: What it is called.
        numbers: That of item i at ``numbers[i - 1]``, all different; their order is what can leak.
        labels: Cautions, such as that it is known to leak.

    """

    name: str
    numbers: tuple[int, ...]
    labels: tuple[str, ...] = ()


@runtime_checkable
class NumbersItems(Protocol):
    """A class of recommenders that know items by IDs with an order, made without training."""

    @classmethod
    def numberings(
        cls, catalogue: Catalogue, histories: Sequence[History], settings: Settings
    ) -> Sequence[ItemNumbers]:
        """Number items 1..n in every way that this catalogue can be numbered in."""
