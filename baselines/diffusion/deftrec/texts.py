"""Histories as prompts with places for continuous tokens, and items as answers, in tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from transformers import PreTrainedTokenizerBase

from baselines.diffusion.deftrec.prompts import NOTHING, TITLE_LETTERS, token_words
from baselines.item_ids.words import WordEncoder
from models.errors import UserError
from models.origins import saved_tokenizer
from models.padding import PADDING
from models.tokenizers import TOKENIZER

FILE = "texts.json"
"""Name in a checkpoint folder."""


class Texts:
    """What is written of a catalogue.

    Args:
        tokenizer: Tokenizer of prompts and answers, with the words of `token_words` added.
        titles: Titles of items 1..n.
        answers: What names items 1..n.
        tokens: Continuous tokens an item, K.

    Attributes:
        first: Number of the first word that a continuous token replaces; the others follow.
        end: The token that ends a text.

    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, titles: Sequence[str], answers: Sequence[str], tokens: int
    ) -> None:
        self.tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self._titles, self._answers, self._tokens = list(titles), list(answers), tokens
        self._encode = WordEncoder(tokenizer)
        self._places = "".join(token_words(tokens))
        self.first = self._encode(self._places).tokens[-tokens - 1]  # before the others and the end

    def prompt(self, template: str, items: Sequence[int], *, titles: bool) -> tuple[list[int], list[int]]:
        """Fill and tokenise a prompt.

        Args:
            template: One of `prompts.PROMPTS`.
            items: Items of the history, oldest first.
            titles: Whether the beginning of each title stands beside the item's tokens.

        Returns:
            Tokens; and for each that a continuous token replaces, the place of its item in `items`, from 1, and 0 where
            a word stays.

        """
        item_texts = [
            f"{self._titles[item - 1][:TITLE_LETTERS]} {self._places}" if titles else self._places for item in items
        ]
        filled = template.format(items=" , ".join(item_texts) or NOTHING)
        tokens = self._encode(filled).tokens[:-1]  # it goes on: no end
        told, item = [], 0
        for token in tokens:
            item += token == self.first
            told.append(item if self.first <= token < self.first + self._tokens else PADDING)
        return tokens, told

    def answer(self, item: int, most: int) -> list[int]:
        """Return at most `most` tokens that name an item, the end last."""
        return [*self._encode(self._answers[item - 1]).tokens[:-1][: most - 1], self.end]

    def save(self, folder: Path) -> None:
        """Save all beside a checkpoint's weights."""
        self.tokenizer.save_pretrained(folder / TOKENIZER)
        (folder / FILE).write_text(json.dumps({"titles": self._titles, "answers": self._answers}))

    @classmethod
    def load(cls, folder: Path, *, items: int, tokens: int) -> Self:
        """Load what `save` saved of a catalogue of `items`.

        Raises:
            UserError: The file is missing or damaged, or of another catalogue.

        """
        path = folder / FILE
        try:
            kept = json.loads(path.read_text())
            titles, answers = ([str(text) for text in kept[name]] for name in ("titles", "answers"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}): the checkpoint is not whole, train again") from error
        if len(titles) != items or len(answers) != items:
            raise UserError(f"{path} is not of {items} items: the checkpoint is not whole, train again")
        return cls(saved_tokenizer(folder / TOKENIZER), titles, answers, tokens)
