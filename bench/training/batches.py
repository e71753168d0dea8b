"""Batches of examples of similar length, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class LengthGroupedBatches(Sampler[int]):
    """Orders examples so that cutting the order into batches pads little.

    transformers' `LengthGroupedSampler` sorts within 50 batches, which pads a quarter of all places where few
    histories are long and most are short. Here the whole epoch is sorted, ties at random, and the batches are shuffled.

    Args:
        lengths: Lengths of each example.
        batch_size: Examples that are padded to one length: a batch of every process, where there are several.
        seed: Seed of the order.

    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; a resumed training asks for that of the epoch it stopped in."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of all examples once."""
        for batch in self._batches():
            yield from batch.tolist()

    @property
    def padding(self) -> float:
        """Share of an epoch's places that hold padding, from 0 to 1."""
        places = sum(int(self._lengths[batch].max()) * len(batch) for batch in self._batches())
        return 1 - int(self._lengths.sum()) / places if places else 0.0

    def _batches(self) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        order = np.lexsort((rng.random(len(self)), self._lengths))
        full = len(order) // self._batch_size * self._batch_size
        # Which examples are left over for the smaller last batch, changes from epoch to epoch.
        rest = np.sort(rng.permutation(len(order))[: len(order) - full])
        batches = list(np.delete(order, rest).reshape(-1, self._batch_size))
        rng.shuffle(batches)
        return [*batches, order[rest]] if len(rest) else batches
