"""The catalogue as a generative recommender sees it: an ID and a token sequence for every item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from baselines.decoding.trie import Trie
from baselines.item_ids.words import WordEncoder
from models.catalogue import Catalogue
from models.errors import UserError

FILE = "item_ids.json"
"""Name in a checkpoint folder."""

OUTPUT = "{dataset} item_{id}"
"""OpenP5's target text. The trie forces all tokens before the ID, and each costs a decoder step."""


MANY = 1_000_000
"""Items beyond which a Python object for each would take gigabytes."""


class TokenRows(Sequence[tuple[int, ...]]):
    """Rows of an array as tuples, each made when it is asked for.

    Args:
        rows: Whole numbers [n, L].

    """

    def __init__(self, rows: NDArray[Any]) -> None:
        narrow: Any = np.int16 if rows.max(initial=0) <= np.iinfo(np.int16).max else np.int32
        self.rows: NDArray[np.integer[Any]] = rows.astype(narrow)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> list[tuple[int, ...]]: ...

    def __getitem__(self, place: int | slice) -> tuple[int, ...] | list[tuple[int, ...]]:
        tokens = self.rows[place].tolist()
        return list(map(tuple, tokens)) if isinstance(place, slice) else tuple(tokens)


class Spelled(Sequence[str]):
    """Codes as LC-Rec and LETTER write them, each written when it is asked for: ``<a_12><b_3><c_200><d_0>``.

    Args:
        codes: Whole numbers [n, L].

    """

    def __init__(self, codes: NDArray[Any]) -> None:
        self._codes = TokenRows(codes)

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [spell(codes) for codes in self._codes[place]]
        return spell(self._codes[place])


def spell(codes: Sequence[int]) -> str:
    """Write codes as `Spelled` does."""
    return "".join(f"<{chr(ord('a') + level)}_{code}>" for level, code in enumerate(codes))


@dataclass(frozen=True)
class ItemTokens:
    """IDs and target token sequences of one catalogue.

    Attributes:
        ids: ID of item i at ``ids[i - 1]``.
        sequences: Target tokens of item i at ``sequences[i - 1]``, the end of sequence last. One
            ID may begin another's; the end of sequence then decides.
        fingerprint: Fingerprint of the catalogue that they number.

    """

    ids: Sequence[str] = field(repr=False)
    sequences: Sequence[tuple[int, ...]] = field(repr=False)
    fingerprint: str

    @classmethod
    def of_codes(cls, codes: NDArray[np.int64], tokens: NDArray[np.int64], fingerprint: str) -> Self:
        """Take codes of one length: as tuples, which are the quickest to read, or where they are many as arrays.

        Args:
            codes: Those of item i in row i - 1, [n, L].
            tokens: What each is written as, [n, L].
            fingerprint: Fingerprint of the catalogue.

        """
        ids, rows = Spelled(codes), TokenRows(tokens)
        if len(codes) > MANY:
            return cls(ids, rows, fingerprint)
        return cls(tuple(ids), tuple(rows), fingerprint)

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
        return Trie.build(self.sequences.rows if isinstance(self.sequences, TokenRows) else self.sequences)

    def check(self, catalogue: Catalogue) -> None:
        """Make sure that `catalogue` is the one whose items are numbered here.

        Raises:
            UserError: The catalogue is another one, or the same loaded with other options.

        """
        if catalogue.fingerprint != self.fingerprint:
            raise UserError(
                f"the checkpoint's {len(self.ids)} item IDs belong to another catalogue than {catalogue.name}'s "
                f"{len(catalogue)} items: train on this dataset, loaded with the same options"
            )

    def save(self, folder: Path) -> None:
        """Write `FILE` into `folder`."""
        content = {"fingerprint": self.fingerprint, "ids": list(self.ids), "sequences": list(self.sequences)}
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
