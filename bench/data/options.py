"""What a dataset is loaded with."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import UserError


class SyntheticSizes(BaseModel):
    """How much data to generate; `length` is the mean number of interactions a user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(default=1_000, ge=1)
    items: int = Field(default=500, ge=20)
    length: int = Field(default=20, ge=5)


class LoadOptions(BaseModel):
    """What is done to a dataset on its way in.

    Attributes:
        min_count: Users and items with fewer interactions are dropped until none is left (k-core); 0 keeps all.
        max_history: Recommenders see at most this many last items of a history.
        seed: Of the items' numbering, of the order of simultaneous interactions, and of generated data.
        sizes: How much is generated; None for data from files.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(default=0, ge=0)
    max_history: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
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
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])).replace("sizes.", "")
            raise UserError(f"{name} {first['input']!r}: {first['msg'].lower()}; change it") from error

    def unlike(self, usual: LoadOptions) -> dict[str, str | int | bool | None]:
        """Return the settings that differ from the usual ones."""
        before = usual.settings
        return {name: value for name, value in self.settings.items() if value != before.get(name)}

    @property
    def settings(self) -> dict[str, str | int | bool | None]:
        """All of them by name, for the record."""
        own = self.model_dump(exclude={"sizes"})
        return own | (self.sizes.model_dump() if self.sizes else {})
