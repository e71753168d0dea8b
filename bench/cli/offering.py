"""What a command line says of a service under load, written once: options of pytest, of `bench.load`, of the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bench.ground.bounds import in_words
from bench.records.load import Offered
from models.errors import UserError


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: As it is typed.
        field: Field of `Offered` that it sets.
        metavar: What stands for its value.
        told: Its help.
        several: Whether it may be repeated.

    """

    name: str
    field: str
    metavar: str
    told: str
    several: bool = False

    @property
    def key(self) -> str:
        """Its name as a parser keeps it."""
        return self.name.removeprefix("--").replace("-", "_")


OPTIONS = (
    Option("--slo", "slo", "10ms|50ms|80ms@p99|...", "Limit on latency and the percentile that keeps it."),
    Option("--rate", "rate", "N", "Requests a second. Default: look for the highest rate that keeps the objective."),
    Option("--workers", "workers", "N", "Processes that answer on a CPU. Default: all cores but one."),
    Option("--window-ms", "windows_ms", "MS", "How long a batch may wait to be filled; may be repeated.", several=True),
    Option("--largest-batch", "largest_batches", "N", "Most users answered together; may be repeated.", several=True),
    Option("--load-seconds", "seconds", "SECONDS", "How long requests arrive in one trial. Default: 10."),
    Option("--arrival-seeds", "seeds", "N", "Draws of arrivals. Default: 5."),
    Option("--search-seconds", "search_s", "SECONDS", "What looking for the highest rate may take. Default: 100."),
    Option("--arrivals", "trace", "FILE", "Arrival times in seconds, one a line, for --scenario trace."),
)
"""All of them but the bare ones."""

FLAGS = ("loadgen", "refresh")
"""The bare ones."""

REFRESH_TOLD = "Take new catalogues in while requests go on, too."
LOADGEN_TOLD = "Let MLPerf's LoadGen ask the same service, too (pip install mlcommons-loadgen)."


def add_to(add: Callable[..., None]) -> None:
    """Add the options to a parser, such as pytest's.

    Args:
        add: Its ``addoption``.

    """
    for option in OPTIONS:
        more = {"action": "append"} if option.several else {}
        add(option.name, metavar=option.metavar, help=option.told, **more)
    add("--loadgen", action="store_true", help=LOADGEN_TOLD)
    add("--refresh", action="store_true", help=REFRESH_TOLD)


def offered_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Offered` that a command line names.

    Args:
        words: What was typed, by `Option.key`; None where nothing was.

    Raises:
        UserError: A word is not what its option takes.

    """
    named: dict[str, Any] = {}
    for option in OPTIONS:
        value = words.get(option.key)
        if value is None or value == []:
            continue
        value = str(value) if option.field == "trace" else value
        try:
            named[option.field] = getattr(Offered.model_validate({option.field: value}), option.field)
        except ValidationError as error:
            shown = ", ".join(map(str, value)) if option.several else value
            raise UserError(f"{option.name} {shown}: {in_words(error)}; change it") from None
    return named | {name: True for name in FLAGS if words.get(name)}


def words_of(offered: Mapping[str, Any]) -> list[str]:
    """Return the options that say the same, as a command line names them."""
    words: list[str] = []
    for option in OPTIONS:
        values: Iterable[Any] = offered.get(option.field) or []
        for value in values if option.several else [offered.get(option.field)]:
            words += [] if value is None else [option.name, str(value)]
    return words + [f"--{name}" for name in FLAGS if offered.get(name)]
