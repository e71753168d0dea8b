"""Next-item training examples and request batches for recommenders that read item numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchFeature

from models.catalogue import History
from models.padding import PADDING
from models.ragged import pad
from models.serving import SeenItems, Serving


class Windows:
    """Every training history cut from its end into windows in which each item predicts the next.

    A history of m items yields m - 1 predictions, each in exactly one window, so nothing of a
    history longer than the model's is lost (the original SASRec trains on the last window alone).

    Args:
        histories: Training histories.
        max_length: Most predictions in one window.

    """

    def __init__(self, histories: Sequence[History], max_length: int) -> None:
        self._windows = [
            History(history.user, history.items[max(0, end - max_length - 1) : end])
            for history in histories
            for end in range(len(history.items), 1, -max_length)
        ]

    @property
    def lengths(self) -> list[int]:
        """Predictions in each window."""
        return [len(window.items) - 1 for window in self._windows]

    @property
    def interactions(self) -> int:
        """Predictions in all windows."""
        return sum(self.lengths)

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._windows)

    def window(self, number: int) -> History:
        """Return a window with its user."""
        return self._windows[number]

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return the inputs and, one place on, the labels of a window."""
        items = self.window(number).items
        return {"input_ids": items[:-1], "labels": items[1:]}


def collate_windows(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad windows on the right to int64 [B, S]: under a causal mask, no place then sees padding."""
    return {name: pad([example[name] for example in examples]) for name in ("input_ids", "labels")}


def negatives_outside(input_ids: Tensor, labels: Tensor, items: int) -> Tensor:
    """Sample one item a place, uniformly among those outside the window, int64 [B, S].

    Args:
        input_ids: Items of windows, int64 [B, S].
        labels: The next item of each place, int64 [B, S].
        items: Size n of the catalogue.

    """
    window = torch.cat([input_ids, labels[:, -1:]], dim=1)
    negatives = torch.randint_like(labels, 1, items + 1)
    for _ in range(3):  # what is left after three redraws is rarer than a mislabelled click
        in_window = (negatives[:, :, None] == window[:, None, :]).any(-1)
        negatives = torch.where(in_window, torch.randint_like(labels, 1, items + 1), negatives)
    return negatives


class Cuts:
    """Every training item with what came before it: histories cut at each of their places but the first.

    Args:
        histories: Training histories; those with one item yield nothing.
        max_length: Most items before a cut.

    """

    def __init__(self, histories: Sequence[History], max_length: int) -> None:
        self._histories = [history for history in histories if len(history.items) > 1]
        self._max_length = max_length
        counts = [len(history.items) - 1 for history in self._histories]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    @property
    def lengths(self) -> list[int]:
        """Items before each cut, int [N]."""
        position = np.arange(len(self)) - np.repeat(self._first[:-1], np.diff(self._first))
        lengths: list[int] = np.minimum(position + 1, self._max_length).tolist()
        return lengths

    @property
    def interactions(self) -> int:
        """One prediction a cut."""
        return len(self)

    def __len__(self) -> int:
        """Count the cuts."""
        return int(self._first[-1])

    def cut(self, number: int) -> tuple[History, int]:
        """Return a cut's user with the newest items before it, and the item behind it."""
        row = int(np.searchsorted(self._first, number, side="right")) - 1
        history, end = self._histories[row], number - int(self._first[row]) + 1
        return History(history.user, history.items[max(0, end - self._max_length) : end]), history.items[end]


class Prefixes(Cuts):
    """Every prefix of every training history with the item that follows.

    For backbones that see both ways, where one pass can predict one item alone.
    """

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return a prefix; only its newest place has a label."""
        before, following = self.cut(number)
        return {"input_ids": before.items, "labels": (*[PADDING] * (len(before.items) - 1), following)}


def request_batch(histories: Sequence[History], max_length: int, serving: Serving) -> BatchFeature:
    """Pad the newest items of each history on the right.

    Returns:
        ``input_ids`` int64 [B, S]; ``last`` int64 [B], the place of the newest item (0 for an
        empty history, which reads as one padding item); with seen items removed also
        ``seen_items`` int64 [B, H], the whole history.

    """
    lengths = np.fromiter((len(history.items) for history in histories), np.int64, len(histories))
    flat = np.fromiter(chain.from_iterable(history.items for history in histories), np.int64, int(lengths.sum()))
    ends = lengths.cumsum()
    read = np.minimum(lengths, max_length)
    batch = {"input_ids": _rows(flat, ends - read, read), "last": torch.from_numpy(np.maximum(read - 1, 0))}
    if serving.seen is SeenItems.REMOVE:
        batch["seen_items"] = _rows(flat, ends - lengths, lengths)
    return BatchFeature(batch)


def _rows(flat: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
    """Cut rows out of what is flat, padded on the right to int64 [B, longest], at least one column."""
    places = np.arange(max(1, int(lengths.max(initial=0))))
    filled = places < lengths[:, None]
    rows = np.zeros(filled.shape, dtype=np.int64)
    rows[filled] = flat[(starts[:, None] + places)[filled]]
    return torch.from_numpy(rows)
