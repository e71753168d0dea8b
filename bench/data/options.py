"""What a dataset is loaded with."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bench.ground.bounds import Count, HistoryLength, Items, Seed, Users, in_words, place_of
from models.errors import UserError

LEAVE_ONE_OUT = "leave-one-out"
"""The usual split: a user's last item is the test target, the last but one the validation target."""

AT_TIME = re.compile(r"time=(?:(?P<share>0?\.\d+)|(?P<date>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?))")


class Ties(StrEnum):
    """In which order the events of a user stand that have the same time."""

    SHUFFLED = "shuffled"
    """By a seeded hash of user and item: no order that a model could learn."""
    FILE = "file"
    """As they stand in the file, where that order is known to be the true one."""


def check_split(split: str) -> str:
    """Return a split as it was given, if it is one.

    Raises:
        ValueError: It is neither `LEAVE_ONE_OUT`, nor ``time=`` with a share or a date.

    """
    if split != LEAVE_ONE_OUT:
        cut_of(split)
    return split


SplitName = Annotated[str, AfterValidator(check_split)]


def cut_of(split: str) -> float | datetime:
    """Return where a split by time cuts: the share of all events that come before, or a moment in UTC.

    Raises:
        ValueError: It is written otherwise.

    """
    match = AT_TIME.fullmatch(split)
    if match is None:
        raise ValueError(f"write {LEAVE_ONE_OUT}, time=0.9 or time=2018-01-31")
    if match["share"] is not None:
        share = float(match["share"])
        if share == 0:
            raise ValueError("nothing comes before time=0; give a share such as time=0.9")
        return share
    return datetime.fromisoformat(match["date"]).replace(tzinfo=UTC)


def _at_least_5(length: int) -> int:
    if length < 5:  # noqa: PLR2004 - the shortest history that is generated
        raise ValueError("input should be greater than or equal to 5")
    return length


class SyntheticSizes(BaseModel):
    """How much data to generate; `length` is the mean number of interactions a user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: Users = 1_000
    items: Items = 500
    length: Annotated[HistoryLength, AfterValidator(_at_least_5)] = 20


class LoadOptions(BaseModel):
    """What is done to a dataset on its way in: whatever decides which events it holds, and in which order.

    Attributes:
        min_count: Users and items with fewer interactions are dropped until none is left (k-core); 0 keeps all.
        max_history: Recommenders see at most this many last items of a history.
        seed: Decides the items' numbering, the order of simultaneous interactions, and generated data.
        ties: In which order simultaneous interactions of a user stand.
        split: What is trained on and what is ranked: `LEAVE_ONE_OUT`, or ``time=`` with a share or a date.
        sizes: How much is generated; None for data from files.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: Count = 0
    max_history: HistoryLength | None = None
    seed: Seed = 0
    ties: Ties = Ties.SHUFFLED
    split: SplitName = LEAVE_ONE_OUT
    sizes: SyntheticSizes | None = None

    @classmethod
    def check(cls, **given: Any) -> Self:
        """Make one from what a user gave.

        Raises:
            UserError: A value is out of its range.

        """
        try:
            return cls(**given)
        except ValidationError as error:
            name, value = place_of(error).replace("sizes.", ""), error.errors()[0]["input"]
            raise UserError(f"{name} {value!r}: {in_words(error)}; change it") from error

    def unlike(self, usual: LoadOptions) -> dict[str, str | int | bool | None]:
        """Return the settings that differ from the usual ones."""
        before = usual.settings
        return {name: value for name, value in self.settings.items() if value != before.get(name)}

    @property
    def settings(self) -> dict[str, str | int | bool | None]:
        """All of them by name, for the record; options that older records do not know are named where they matter."""
        own = self.model_dump(mode="json", exclude={"sizes", "ties", "split"})
        own |= {} if self.ties is Ties.SHUFFLED else {"ties": self.ties.value}
        own |= {} if self.split == LEAVE_ONE_OUT else {"split": self.split}
        return own | (self.sizes.model_dump() if self.sizes else {})
