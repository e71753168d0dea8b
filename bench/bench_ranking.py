"""Rankers beside each other and beside the matrix product alone, in turns; and `top_k` beside sorting all scores."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench.cli.options import set_threads
from bench.ground.bounds import Threads, checked
from bench.statistics.intervals import bootstrap
from models.ranking.exact import rank_items
from models.ranking.rankers import RANKERS

WIDTH, K = 64, 20

TURNS = 15
"""Timed calls of each side, in turns."""

SIZES = (3_000, 12_000, 100_000, 1_000_000)

MOST = {"hnsw": 100_000}
"""Items up to which a ranker is built here: a graph of a million takes an hour on one thread."""

CLUSTERS = 500
"""Centres about which vectors lie: trained ones do not fill their space evenly, either."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the rankers that the command line names."""
    if "ranker" in metafunc.fixturenames:
        metafunc.parametrize("ranker", metafunc.config.option.ranker or list(RANKERS))


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute with as many threads as the command line says, one if it says nothing."""
    given, before = request.config.option.threads, torch.get_num_threads()
    set_threads(1 if given is None else checked("--threads", Threads, given))
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("users", [1, 32, 256])
@pytest.mark.parametrize("items", SIZES)
def bench_ranker(
    benchmark: BenchmarkFixture, items: int, users: int, ranker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank items that lie in clusters, in turns with the product of queries and vectors that keeps all scores."""
    if items > MOST.get(ranker, items):
        pytest.skip(f"{ranker} takes too long to build over {items:,} items")
    benchmark.group = f"{items:,} items x {WIDTH}, {users} users"
    vectors, query = _clustered(items + 1, 0), _clustered(users, 1)
    index, built = RANKERS[ranker].built(vectors, None)
    with torch.inference_mode():
        ranked, truth = index.rank(query, K), rank_items(query, vectors, K)
        if RANKERS[ranker].is_exact:
            assert torch.equal(ranked.items, truth.items)
        recall = _recall(ranked.items, truth.items)
        seconds = _in_turns(lambda: index.rank(query, K), lambda: query @ vectors.T)
        benchmark.pedantic(index.rank, args=(query, K), rounds=1)
    found_ratio = bootstrap(np.log(seconds[0] / seconds[1]), statistic=np.median)
    ratio, low, high = np.exp([found_ratio.value, found_ratio.low, found_ratio.high]).tolist()
    told = {"seconds": float(np.median(seconds[0])), "product_seconds": float(np.median(seconds[1]))}
    told |= {"ratio": ratio, "low": low, "high": high, "recall": recall}
    benchmark.extra_info |= told | {"build_seconds": built.seconds, "bytes": built.nbytes, "details": built.details}
    _tell(
        capsys,
        f"{ranker}, {benchmark.group}: {told['seconds'] * 1e3:.3g} ms, {ratio:.2f} [{low:.2f}, {high:.2f}] times the "
        f"product alone; recall@{K} {recall:.3f}; built in {built.seconds:.2g} s, {built.nbytes / 2**20:.3g} MiB",
    )


def _clustered(rows: int, seed: int) -> Tensor:
    """Return float32 [rows, WIDTH] about the same centres for every seed."""
    centres = torch.randn(CLUSTERS, WIDTH, generator=torch.Generator().manual_seed(99))
    draw = torch.Generator().manual_seed(seed)
    return centres[torch.randint(CLUSTERS, (rows,), generator=draw)] + torch.randn(rows, WIDTH, generator=draw)


def _recall(ranked: Tensor, truth: Tensor) -> float:
    shares = [np.isin(row, others).mean() for row, others in zip(truth.numpy(), ranked.numpy(), strict=True)]
    return float(np.mean(shares))


def _in_turns(*sides: Callable[[], object]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the seconds of each side in each turn, [sides, TURNS], after one untimed call of each."""
    seconds = np.empty((len(sides), TURNS + 1))
    for turn in range(TURNS + 1):
        for row, side in enumerate(sides):
            started = time.perf_counter()
            side()
            seconds[row, turn] = time.perf_counter() - started
    return seconds[:, 1:]


def _tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")
