"""What every stored part is: frozen, strict about its fields, and without numbers that cannot be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Model(BaseModel):
    """A frozen part of the record; unknown fields, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Bounded(Model):
    """A number's 95 % interval, in whose ends no estimate is lost: the lower lies below the upper."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval's lower end {self.low} lies above its upper end {self.high}")
        return self


Positive = Annotated[float, Field(gt=0)]
"""A time, a rate, a ratio."""

NonNegative = Annotated[float, Field(ge=0)]
"""An amount that may be nothing."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""

MOST = 2**63 - 1
"""The largest whole number that tables can hold."""

Count = Annotated[int, Field(ge=0, le=MOST)]
"""How many."""

AtLeastOne = Annotated[int, Field(ge=1, le=MOST)]
"""How many of what there must be."""


class Unavailable(Model):
    """A quantity that could not be measured, and why."""

    unavailable: str
