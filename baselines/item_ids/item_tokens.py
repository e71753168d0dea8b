"""The catalogue as a generative recommender sees it: an ID and a token sequence for every item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from baselines.decoding.trie import Trie
from baselines.item_ids.words import WordEncoder
from models.errors import UserError
from models.recommender import Catalogue

FILE = "item_ids.json"
"""Name in a checkpoint folder."""

OUTPUT = "{dataset} item_{id}"
"""OpenP5's target text. The trie forces all tokens before the ID, and each costs a decoder step."""


@dataclass(frozen=True)
class ItemTokens:
    """IDs and target token sequences of one catalogue.

    Attributes:
        ids: ID of item i at ``ids[i - 1]``.
        sequences: Target tokens of item i at ``sequences[i - 1]``, the end of sequence last. One
            ID may begin another's; the end of sequence then decides.
        fingerprint: Fingerprint of the catalogue that they number.

    """

    ids: tuple[str, ...] = field(repr=False)
    sequences: tuple[tuple[int, ...], ...] = field(repr=False)
    fingerprint: str

    @classmethod
    def encode(cls, ids: Sequence[str], catalogue: Catalogue, encoder: WordEncoder, output: str = OUTPUT) -> Self:
        """Tokenise each item's target text.

        Raises:
            UserError: An ID is empty, or two items have the same one or the same tokens.

        """
        sequences = [tuple(encoder(output.format(dataset=catalogue.name, id=text)).tokens) for text in ids]
        first: dict[tuple[int, ...], int] = {}
        for number, (text, sequence) in enumerate(zip(ids, sequences, strict=True), 1):
            if not text:
                raise UserError(f"item {number} of {catalogue.name} has an empty ID: give every item one")
            other = first.setdefault(sequence, number)
            if other != number:
                raise UserError(
                    f"items {other} and {number} of {catalogue.name} have IDs {ids[other - 1]!r} and {text!r} with the "
                    "same tokens: give every item an ID of its own, in characters that the tokenizer knows"
                )
        return cls(tuple(ids), tuple(sequences), catalogue.fingerprint)

    def trie(self) -> Trie:
        """Build the prefix tree over the target sequences."""
        return Trie.build(self.sequences)

    def check(self, catalogue: Catalogue) -> None:
        """Make sure that `catalogue` is the one whose items are numbered here.

        Raises:
            UserError: It is another one, or the same loaded with other options.

        """
        if catalogue.fingerprint != self.fingerprint:
            raise UserError(
                f"the checkpoint's {len(self.ids)} item IDs belong to another catalogue than {catalogue.name}'s "
                f"{len(catalogue)} items: train on this dataset, loaded with the same options"
            )

    def save(self, folder: Path) -> None:
        """Write `FILE` into `folder`."""
        content = {"fingerprint": self.fingerprint, "ids": self.ids, "sequences": self.sequences}
        (folder / FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: The file is missing or broken.

        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            sequences = tuple(tuple(sequence) for sequence in content["sequences"])
            return cls(tuple(content["ids"]), sequences, content["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}): the checkpoint is not whole, train again") from error
