"""What people call a recommender, and how its settings are said where one of them tells two cases apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | float | bool | None

CLASS = re.compile(r"^[\w.]+:(\w+)$")
"""What names a class in a module, as recommenders do that stand in no registry."""

WORDS = {
    "max_length": "{} items",
    "max_history": "{} items",
    "loss=ce": "cross-entropy",
    "loss=bce": "binary cross-entropy",
    "targets=all": "all targets",
    "numbering": "{} IDs",
    "numbering=sequential-leaky": "sequential IDs, leaky",
    "codes": "{} codes",
    "item_llm": "Item LLM {}",
    "item_llm=ids": "IDs alone",
    "item_llm_training": "{} Item LLM",
    "item_ids=true": "text + IDs",
    "head=items": "item vectors as head",
    "hierarchy": "{} hierarchy",
    "text_tokens": "{} tokens of text",
    "flip=by-length": "flipped by length",
}
"""How settings are said that several recommenders have."""


@dataclass(frozen=True)
class Spoken:
    """The names of one recommender.

    Attributes:
        name: As its paper spells it; empty for the name that it is registered under.
        variants: Names of settings that make something else of it; the first of which all settings hold is taken.
        words: How its own settings are said, by name or by ``name=value``; ``{}`` stands for the value. What is neither
            here nor in `WORDS` is said by its name and its value.

    """

    name: str = ""
    variants: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def plain(self, registered: str) -> str:
        """Name the recommender whatever its settings are.

        Args:
            registered: Its name in the registry, or ``package.module:Class``.

        """
        return self.name or CLASS.sub(r"\1", registered)

    def label(self, registered: str, settings: Mapping[str, Value]) -> str:
        """Name the recommender under these settings.

        Args:
            registered: As for `plain`.
            settings: What it is built with, or as much as is known of that.

        """
        for name, wanted in self.variants.items():
            if all(key in settings and settings[key] == value for key, value in wanted.items()):
                return name
        return self.plain(registered)

    def said(self, settings: Mapping[str, Value]) -> dict[str, str]:
        """Say each setting in a few words, by its name."""
        return {name: self._said(name, value) for name, value in settings.items()}

    def _said(self, name: str, value: Value) -> str:
        plain = name.replace("_", " ")
        if isinstance(value, bool):
            usual = plain if value else f"no {plain}"
        else:
            usual = f"no {plain}" if value is None else plain + " {}"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words: dict[str, str] = {**WORDS, **self.words}
        return words.get(f"{name}={text}", words.get(name, usual)).replace("{}", text)
