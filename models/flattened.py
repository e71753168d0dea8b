"""Lite-LLM4Rec without its hierarchy: the Recommendation LLM reads every token of every item."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import BatchFeature, PreTrainedTokenizerBase

from models.catalogue import Catalogue, History
from models.item_encoder import tokenise_items
from models.origins import saved_tokenizer
from models.padding import PADDING
from models.ragged import pad
from models.tokenizers import TOKENIZER


class FlatItems(nn.Module):
    """Turns item numbers into token numbers.

    Args:
        text_tokens: Most tokens of one item.
        max_tokens: Most tokens of a history; older items are left out, and items stay whole.

    """

    def __init__(self, text_tokens: int, max_tokens: int) -> None:
        super().__init__()
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.items_that_fit = max(1, max_tokens // text_tokens)
        self._text_tokens = text_tokens
        self._max_tokens = max(max_tokens, text_tokens)
        self._tokens: list[list[int]] = []

    def read(self, catalogue: Catalogue) -> None:
        """Tokenise the catalogue's texts."""
        assert self.tokenizer is not None
        tokens, mask = tokenise_items([item.text for item in catalogue.items], self.tokenizer, self._text_tokens)
        self._tokens = [row[: int(length)] for row, length in zip(tokens.tolist(), mask.sum(1), strict=True)]

    def index(self) -> None:
        """Nothing beyond `read`: the tokens are the index."""

    @property
    def index_bytes(self) -> int:
        """Bytes of the token numbers, at eight each."""
        return 8 * sum(map(len, self._tokens))

    def flatten(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Turn windows of items into int64 [B, T] tokens, with each label at its item's last token."""
        rows, labels = [], []
        for example in examples:
            parts = [self._tokens[item] for item in example["input_ids"]]
            rows.append(list(chain.from_iterable(parts)))
            targets = zip(parts, example["labels"], strict=True)
            labels.append(list(chain.from_iterable([*[PADDING] * (len(part) - 1), label] for part, label in targets)))
        return {"input_ids": pad(rows), "labels": pad(labels)}

    def request(self, histories: Sequence[History], batch: BatchFeature) -> BatchFeature:
        """Replace the item numbers of a request by the tokens of the newest items that fit."""
        rows = [self._newest(history.items) for history in histories]
        batch["input_ids"] = pad(rows)
        batch["last"] = pad([[len(row) - 1] for row in rows])[:, 0]
        return batch

    def _newest(self, items: Sequence[int]) -> list[int]:
        parts: list[list[int]] = []
        room = self._max_tokens
        for item in reversed(items or (PADDING,)):
            room -= len(self._tokens[item])
            if room < 0:
                break
            parts.append(self._tokens[item])
        return list(chain.from_iterable(reversed(parts)))

    def save_tokenizer(self, folder: Path) -> None:
        """Save the tokenizer beside the weights."""
        assert self.tokenizer is not None
        self.tokenizer.save_pretrained(folder / TOKENIZER)

    def load_tokenizer(self, folder: Path) -> None:
        """Load what `save_tokenizer` saved."""
        self.tokenizer = saved_tokenizer(folder / TOKENIZER)
