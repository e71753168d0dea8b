"""What there is to recommend, and to whom: items, their catalogue, users' histories."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Item:
    """The text that is known of one item; every part may be empty."""

    title: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""

    @property
    def text(self) -> str:
        """All parts as one line of text, empty when nothing is known."""
        parts = (("title", self.title), ("categories", ", ".join(self.categories)), ("brand", self.brand))
        return "; ".join(f"{name}: {value}" for name, value in parts if value)


@dataclass(frozen=True)
class Catalogue:
    """The items that can be recommended, numbered 1..n by a seeded random permutation.

    Attributes:
        name: The dataset's name as prompts spell it.
        ids: Source identifiers; item i is ``ids[i - 1]``.
        items: What is known of item i, at ``items[i - 1]``.
        appearance: Item numbers in order of first appearance over *whole* sequences, targets
            included. This is P5's numbering, and it leaks the answer; nothing but the item-ID
            scheme that is labelled leaky may read it.
        codes: Semantic IDs that came with the data, that of item i at ``codes[i - 1]``, empty where an
            item has none; None where the data brought none.
        digest: What stands for all of it, where it is made by a rule and reading it would take minutes; else None.

    """

    name: str
    ids: Sequence[str]
    items: Sequence[Item]
    appearance: Sequence[int] = field(default=(), repr=False)
    codes: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)
    digest: str | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Count the items."""
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over identifiers, texts and given codes in order: equal fingerprints can share an index."""
        if self.digest is not None:
            return self.digest
        digest = hashlib.sha256()
        for identifier, item in zip(self.ids, self.items, strict=True):
            digest.update(json.dumps([identifier, item.text]).encode())
        if self.codes is not None:
            digest.update(json.dumps(self.codes).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class History:
    """What one user did, oldest first. `user` is a dense number from 0; P5's prompts name it."""

    user: int
    items: tuple[int, ...]
