"""The numbers that options, suites, settings and recipes accept: each kind once, finite and within bounds.

A kind is an annotated type. Pydantic models use it as a field's type; command lines read words with `parser`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from models.errors import UserError

BatchSize = Annotated[int, Field(ge=1, le=65_536)]
"""Users a request, or examples a step."""

ListLength = Annotated[int, Field(ge=1, le=100_000)]
"""Places of a ranked list."""

BeamWidth = Annotated[int, Field(ge=1, le=10_000)]
"""Beams of a search."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What numpy and torch both take as a seed."""

Threads = Annotated[int, Field(ge=1, le=4_096)]
"""CPU threads; a machine may have fewer cores, which `bench.cli.options.set_threads` checks."""

Epochs = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
"""Passes over the examples; less than 1 sees a part of them."""

Minutes = Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)]
"""A time budget: up to a year."""

Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
"""A time limit, or time to spend: up to a year."""

Users = Annotated[int, Field(ge=1, le=10**9)]
"""Users to rank, or to generate."""

Items = Annotated[int, Field(ge=20, le=10**8)]
"""Items to generate."""

HistoryLength = Annotated[int, Field(ge=1, le=1_000_000)]
"""Items of a history."""

Count = Annotated[int, Field(ge=0, le=10**9)]
"""How many of something; 0 is allowed."""

Rounds = Annotated[int, Field(ge=1, le=1_000_000)]
"""Timed rounds, process pairs or jobs."""

PERCENTILES = (50, 90, 95, 99)


def _is_percentile(number: int) -> int:
    if number not in PERCENTILES:
        raise ValueError(f"input should be one of {', '.join(map(str, PERCENTILES))}")
    return number


Percentile = Annotated[int, AfterValidator(_is_percentile)]
"""The highest percentile of latency that is wanted."""

Percent = Annotated[float, Field(ge=0.1, le=99, allow_inf_nan=False)]
"""A margin in percent."""

Mebibytes = Annotated[int, Field(ge=1, le=2**30)]
"""A limit on size."""


def number(kind: Any, told: str) -> Any:
    """Return a typer option that takes a kind of number.

    Args:
        kind: One of the annotated types above.
        told: The option's help.

    """
    return typer.Option(parser=parser(kind), metavar="N", help=told)


def parser(kind: Any) -> Callable[[Any], Any]:
    """Return a function that reads a word of a command line as a kind of number.

    Args:
        kind: One of the annotated types above.

    Returns:
        The function. A default, which is no word, it gives back.

    Raises:
        UserError: The returned function does, for what is no such number.

    """
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def read(word: Any) -> Any:
        if not isinstance(word, str):
            return word
        try:
            return adapter.validate_strings(word)
        except ValidationError as error:
            raise typer.BadParameter(f"{word} is no such number: {in_words(error)}") from None

    return read


def checked(name: str, kind: Any, value: Any) -> Any:
    """Return a value that is of a kind.

    Args:
        name: What messages call it, such as ``--batch-size``.
        kind: One of the annotated types above.
        value: What was given.

    Raises:
        UserError: The value is no number, not finite, or out of bounds.

    """
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return adapter.validate_strings(value) if isinstance(value, str) else adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(f"{name} {value}: {in_words(error)}; change it") from None


def place_of(error: ValidationError, otherwise: str = "") -> str:
    """Return where the first fault that pydantic found lies, as a dotted path; `otherwise` where it is no field's."""
    return ".".join(map(str, error.errors()[0]["loc"])) or otherwise


def fault(error: ValidationError, otherwise: str = "the whole") -> str:
    """Return the first fault that pydantic found, with its place: ``recipe.epochs: input should be ...``."""
    return f"{place_of(error, otherwise)}: {in_words(error)}"


def in_words(error: ValidationError) -> str:
    """Return the first fault that pydantic found, in lower case and without its ``Value error, ``."""
    said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return said[:1].lower() + said[1:]
