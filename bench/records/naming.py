"""What people call a recommender, as a record says it; those of older records are looked up in ``names.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field, TypeAdapter

from bench.records.model import Model
from models.spoken import Spoken, Value

NAMES = Path(__file__).with_name("names.toml")
"""What the recommenders of records without names are called. New ones need no row: their class says it."""


class Named(Model):
    """What people call a recommender under the settings of a case.

    Attributes:
        name: Its name whatever the settings are, such as ``Lite-LLM4Rec``.
        label: Its name under these, such as ``Lite-LLM4Rec, text + IDs``.
        said: Each setting that differs from its recipe, in a few words; told where labels alone are equal.

    """

    name: str = Field(min_length=1)
    label: str = Field(min_length=1)
    said: dict[str, str] = Field(default={})


@cache
def _older() -> dict[str, Spoken]:
    return TypeAdapter(dict[str, Spoken]).validate_python(tomllib.loads(NAMES.read_text(encoding="utf-8")))


def named_before(recommender: str, changed: Mapping[str, Value], known: Mapping[str, Value]) -> Named:
    """Return what a recommender is called whose record does not say it.

    Args:
        recommender: Its name in the registry, or ``package.module:Class``.
        changed: The settings that a case names.
        known: As many of all its settings as the record knows.

    """
    spoken = _older().get(recommender, Spoken())
    label = spoken.label(recommender, {**known, **changed})
    return Named(name=spoken.plain(recommender), label=label, said=spoken.said(changed))
