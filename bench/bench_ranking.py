"""Ranking a catalogue in chunks and by groups, beside scoring all of it and sorting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from models.recommender import Recommendations
from models.topk import rank_items

WIDTH, K = 128, 20


def whole(query: Tensor, vectors: Tensor, k: int) -> Recommendations:
    """Hold all scores, and let torch find the best."""
    best, items = (query @ vectors.T).topk(k, dim=1)
    return Recommendations(items, best)


@pytest.mark.parametrize("rank", [whole, rank_items], ids=["whole", "chunked"])
@pytest.mark.parametrize("users", [1, 32, 256])
@pytest.mark.parametrize("items", [3_000, 12_000, 100_000, 1_000_000])
def bench_ranking(benchmark: BenchmarkFixture, items: int, users: int, rank: Callable[..., Recommendations]) -> None:
    """Rank random items for random users; both ways give the same lists."""
    benchmark.group = f"{items:,} items, {users} users"
    generator = torch.Generator().manual_seed(0)
    vectors, query = (torch.randn(rows, WIDTH, generator=generator) for rows in (items + 1, users))
    vectors[0] = 0
    with torch.inference_mode():
        expected = rank_items(query[:1], vectors, K).items
        assert torch.equal(rank(query[:1], vectors, K).items, expected)
        benchmark(rank, query, vectors, K)
