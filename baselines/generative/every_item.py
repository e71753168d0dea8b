"""Training on every item of a history at once, for generative recommenders on a decoder alone.

Under a causal mask one pass over a whole history predicts each of its items from those before it, as
SASRec learns (Kang and McAuley 2018, arXiv 1808.09781) and as OneRec and HSTU train (Zhai et al. 2024,
arXiv 2402.17152). Cut at each item instead, a history of n items is read n times. The prompt's words
stand once before the items, and an item reads as it is written: so the place before an item has the
very logits that its prefix alone would give, and serving is the same beam search as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional

from baselines.generative.generative import IGNORED
from models.catalogue import History
from models.ragged import pad
from models.sequences import Windows


class Targets(StrEnum):
    """Which items of a training history one example learns."""

    NEXT = "next"
    """The one behind the prompt."""
    ALL = "all"
    """Every one that has another before it; on a decoder alone."""


class WritesHistories(Protocol):
    """Whatever writes a history so that every item of it can be learned."""

    def opening(self, user: int) -> Sequence[int]:
        """Return the tokens before the first item."""

    def target(self, item: int) -> Sequence[int]:
        """Return an item's tokens, the same whether it is read or written."""


class EveryItem(Windows):
    """Histories as token sequences in which all items but a window's first are targets.

    Args:
        model: Writes them.
        histories: Training histories; those with one item yield nothing.
        max_length: Most items that are read before the last one.

    """

    def __init__(self, model: WritesHistories, histories: Sequence[History], max_length: int) -> None:
        super().__init__(histories, max_length)
        self._model = model

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: ``input_ids`` and, one place on, ``labels``."""
        window = self.window(number)
        items = [self._model.target(item) for item in window.items]
        tokens = [*self._model.opening(window.user), *(token for item in items for token in item)]
        given = len(tokens) - sum(map(len, items[1:]))
        return {"input_ids": tokens[:-1], "labels": [*[IGNORED] * (given - 1), *tokens[given:]]}


def collate_sequences(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad sequences on the right to int64 [B, S]: under a causal mask, no place then sees padding."""
    return {
        "input_ids": pad([example["input_ids"] for example in examples]),
        "labels": pad([example["labels"] for example in examples], value=IGNORED),
    }


def sequence_loss(generator: Any, input_ids: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the tokens of all targets.

    Args:
        generator: A transformers decoder with its language-model head.
        input_ids: int64 [B, S].
        labels: int64 [B, S]; `IGNORED` where nothing is learned.

    """
    wanted = labels != IGNORED
    states = generator.model(input_ids=input_ids, use_cache=False).last_hidden_state
    logits = generator.lm_head(states[wanted])  # [T, V]: places without a target are not scored
    loss: Tensor = functional.cross_entropy(logits.float(), labels[wanted])
    return loss
