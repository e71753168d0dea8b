"""What a command line says of its data, written once: options of every command, of pytest, and of a job's JSON."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_type_hints

import typer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bench import data
from bench.data.dataset import Dataset
from bench.data.options import LEAVE_ONE_OUT, SplitName, Ties
from bench.data.reading import MAX_UNPACKED_MIB, Reading
from bench.ground.bounds import Count, HistoryLength, Mebibytes, in_words, place_of
from models.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])


def _pairs(given: object) -> object:
    """Turn ``user=reviewerID,item=asin`` into a dictionary; what is one stays one."""
    if not isinstance(given, str):
        return given
    pairs = [word.partition("=") for word in given.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise ValueError("write it as user=COLUMN,item=COLUMN,time=COLUMN")
    return {key.strip(): value.strip() for key, _, value in pairs}


Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]


class Loading(BaseModel):
    """How data is loaded. Each field is an option of the same name, and its description the option's help."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path | None = Field(None, description="Folder with the datasets' files. Default: $BENCH_DATA.")
    min_count: Count = Field(0, description="Keep users and items with this many interactions (k-core).")
    max_history: HistoryLength | None = Field(None, description="Keep this many last items of each history.")
    ties: Ties = Field(
        Ties.SHUFFLED, description="Order of a user's events of equal time: shuffled (default), or that of the file."
    )
    split: SplitName = Field(
        LEAVE_ONE_OUT, description="leave-one-out (default), or a cut for all users: time=0.9, time=2018-01-31."
    )
    columns: Pairs = Field(
        {}, description="Columns of a table: user=A,item=B,time=C, and title=, categories=, brand= where it has them."
    )
    items: Path | None = Field(None, description="Table with the items' texts, beside a table of interactions.")
    item_columns: Pairs = Field({}, description="Columns of that table: item=A, and title=, categories=, brand=.")
    max_unpacked: Mebibytes = Field(
        MAX_UNPACKED_MIB, description=f"MiB that a dataset's files may unpack to. Default: {MAX_UNPACKED_MIB}."
    )

    @classmethod
    def from_words(cls, words: dict[str, str | None]) -> Self:
        """Read what a command line says; None leaves an option at its default.

        Args:
            words: By the fields' names.

        Raises:
            UserError: A word is not what its option takes.

        """
        given = {name: word for name, word in words.items() if word is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            name = place_of(error).partition(".")[0]
            raise UserError(f"{option_name(name)} {given.get(name)}: {in_words(error)}; change it") from error

    def load(self, name: str, **sizes: Any) -> Dataset:
        """Load a dataset, and say on standard error what a reader of its numbers should know.

        Args:
            name: As `bench.data.load` takes it.
            sizes: For generated data: ``users``, ``items``, ``length``.

        Raises:
            UserError: An option, the name, a file or the network is not as it must be.

        """
        reading = Reading(
            columns=self.columns, items=self.items, item_columns=self.item_columns, max_unpacked=self.max_unpacked
        )
        options: dict[str, Any] = self.model_dump(include={"data_dir", "min_count", "max_history", "ties", "split"})
        loaded = data.load(name, reading=reading, **options, **sizes)
        if os.environ.get("RANK", "0") == "0":  # under torchrun, one speaks for all
            for warning in loaded.source.warnings:
                print(f"note: {loaded.name}: {warning}", file=sys.stderr)  # noqa: T201 - rich would fold the line
        return loaded

    def words(self) -> list[str]:
        """Return the options that differ from their defaults, as a command line names them."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        texts = {
            name: ",".join(f"{key}={column}" for key, column in value.items())
            if isinstance(value, dict)
            else str(value)
            for name, value in changed.items()
        }
        return [word for name, text in texts.items() for word in (option_name(name), text)]

    def resolved(self) -> Self:
        """Return the same with paths that hold wherever a process runs."""
        return self.model_copy(
            update={"data_dir": self.data_dir and self.data_dir.resolve(), "items": self.items and self.items.resolve()}
        )


def option_name(field: str) -> str:
    """Return the option that a field stands for."""
    return f"--{field.replace('_', '-')}"


METAVARS = {"data_dir": "FOLDER", "ties": "shuffled|file", "split": "SPLIT", "columns": "user=A,...", "items": "FILE"}
METAVARS |= {"item_columns": "item=A,...", "max_unpacked": "MIB"}


def add_to(add: Callable[..., None]) -> None:
    """Add the options to a parser, such as pytest's.

    Args:
        add: Its ``addoption``.

    """
    for name, field in Loading.model_fields.items():
        add(option_name(name), metavar=METAVARS.get(name, "N"), help=field.description)


def with_loading(command: Command) -> Command:
    """Give a typer command the options of `Loading`, in the place of its parameter ``loading``.

    Args:
        command: Has a parameter ``loading: Loading``.

    """
    hints = get_type_hints(command, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    own = [
        parameter.replace(annotation=hints[name], kind=kind)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "loading"
    ]
    ours = [
        inspect.Parameter(
            name,
            kind,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(option_name(name), metavar=METAVARS.get(name, "N"), help=field.description),
            ],
        )
        for name, field in Loading.model_fields.items()
    ]

    @functools.wraps(command)
    def loading_first(**given: Any) -> Any:
        words = {name: given.pop(name) for name in Loading.model_fields}
        return command(**given, loading=Loading.from_words(words))

    made: Any = loading_first
    made.__signature__ = inspect.Signature([*own, *ours])
    made.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *ours)}
    result: Command = made
    return result
