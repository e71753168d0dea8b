"""Batches of similar length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.training.batches import LengthGroupedBatches


def cut(order, size):
    return [order[start : start + size] for start in range(0, len(order), size)]


@given(st.lists(st.integers(1, 200), max_size=200), st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_holds_every_example_once_and_the_smaller_batch_last(lengths, size, epoch):
    batches = LengthGroupedBatches(lengths, size, seed=1)
    batches.set_epoch(epoch)
    order = list(batches)
    assert sorted(order) == list(range(len(lengths)))
    assert len(batches) == len(lengths)
    assert order == list(batches)
    places = sum(len(batch) * max(lengths[row] for row in batch) for batch in cut(order, size))
    assert batches.padding == pytest.approx(1 - sum(lengths) / places if places else 0.0)


def test_seed_and_epoch_decide_the_order():
    def order(seed, epoch):
        batches = LengthGroupedBatches(range(1, 101), 8, seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_few_long_histories_among_many_short_ones_pad_little():
    """Lengths as on Amazon's data: most under ten, some over a hundred."""
    lengths = 3 + np.minimum(np.random.default_rng(0).geometric(0.25, 20_000) ** 2 // 8, 200)
    assert LengthGroupedBatches(lengths, 128, seed=0).padding < 0.15
    shuffled = np.random.default_rng(1).permutation(lengths)[: 20_000 // 128 * 128].reshape(-1, 128)
    assert 1 - shuffled.sum() / (128 * shuffled.max(1).sum()) > 0.5
