"""Large logs and large catalogues: seconds and peak memory, each in a process of its own, from files made for it.

``-k small`` takes a hundredth, ``-k medium`` a tenth, ``-k full`` the 32 million interactions of MovieLens' largest
log, the 200,000 users over 100,000 items, and the ten million items that this is about.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from pytest_benchmark.fixture import BenchmarkFixture

SIZES = {"small": 100, "medium": 10, "full": 1}
"""What the sizes below are divided by."""

ROWS, USERS, FILMS = 32_000_000, 200_000, 87_000
"""About what GroupLens' ml-32m holds."""

RANKED_USERS, RANKED_ITEMS = 200_000, 100_000
ITEMS = 10_000_000
CODES, CODEBOOK = 4, 256

BLOCK_ROWS = 1_000_000


def write_log(folder: Path, rows: int, users: int, films: int, *, kind: str) -> Path:
    """Write a log like MovieLens': grouped by user, in no order of time, a few films with most of the ratings.

    Args:
        folder: Where to; ``ratings.csv`` and ``movies.csv``, or one Parquet file.
        rows: How many interactions.
        users: How many users.
        films: How many films.
        kind: ``csv`` or ``parquet``.

    Returns:
        What `bench.data.load` is given.

    """
    rng = np.random.default_rng(0)
    names = (
        ("userId", "movieId", "rating", "timestamp") if kind == "csv" else ("user_id", "item_id", "rating", "timestamp")
    )
    kinds = [pa.int64(), pa.int64(), pa.float64(), pa.int64()]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    path = folder / ("ratings.csv" if kind == "csv" else "log.parquet")
    writer: Any = (
        csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="none"))
        if kind == "csv"
        else pq.ParquetWriter(path, schema)
    )
    with writer:
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            who = 1 + (start + np.arange(count)) * users // rows
            which = 1 + np.minimum(films - 1, films * rng.random(count) ** 3).astype(np.int64)
            when = 1_000_000_000 + who * 1_000 % 500_000_000 + rng.integers(0, 40_000, count)  # sessions, with ties
            stars = rng.integers(1, 11, count) / 2
            writer.write(pa.table([who, which, stars, when], schema=schema))
    if kind == "parquet":
        return path
    lines = ["movieId,title,genres", *(f"{film},Film {film} (1999),Drama|Comedy" for film in range(1, films + 1))]
    (folder / "movies.csv").write_text("\n".join(lines) + "\n")
    return folder


def peak_bytes() -> int:
    """Return the most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def load_log(path: str, home: str) -> dict[str, Any]:
    """Load a log that was never loaded before; in a process of its own."""
    import os

    os.environ["BENCH_HOME"] = home
    from bench import data

    before, start = peak_bytes(), time.perf_counter()
    loaded = data.load(path)
    taken = time.perf_counter() - start
    return {"seconds": taken, "peak_bytes": peak_bytes(), "imports_bytes": before, "interactions": len(loaded.flat)}


def evaluate_many(users: int, items: int) -> dict[str, Any]:
    """Rank all items for all users of generated data, by popularity; in a process of its own."""
    import torch

    from bench import data
    from bench.data.dataset import Split
    from bench.quality import evaluate
    from models import registry

    torch.set_num_threads(1)
    loaded = data.load("synthetic", users=users, items=items, length=20)
    before = peak_bytes()
    kind = registry.load("popularity")
    recommender = kind.build(loaded.catalogue, loaded.training(), kind.settings_type()).eval()
    recommender.index(loaded.catalogue)
    histories, targets = loaded.queries(Split.TEST)
    start = time.perf_counter()
    ranked = evaluate.rank_users(
        recommender, histories, targets, k=20, batch_size=64, device=torch.device("cpu"), items=items
    )
    lists = evaluate.join(list(ranked))
    quality = evaluate.summarise(lists, histories, targets, items=items, split="test", seen="remove")
    taken = time.perf_counter() - start
    return {"seconds": taken, "peak_bytes": peak_bytes(), "data_bytes": before, "users": quality.users}


def make_catalogue(items: int) -> dict[str, Any]:
    """Generate a catalogue, and the trie over as many semantic IDs of chance; in a process of its own."""
    from bench import data
    from models import registry

    start = time.perf_counter()
    loaded = data.load(f"synthetic-{items}")
    generated, data_bytes = time.perf_counter() - start, peak_bytes()
    kind = registry.load("tiger")
    settings = kind.settings_type.model_validate({"codes": "random", "codebooks": 3, "codebook_size": 256})
    start = time.perf_counter()
    recommender = kind.build(loaded.catalogue, (), settings).eval()
    coded = time.perf_counter() - start
    start = time.perf_counter()
    recommender.index(loaded.catalogue)
    indexed = time.perf_counter() - start
    return {
        "seconds": generated + coded + indexed,
        "generate_s": generated,
        "code_s": coded,
        "index_s": indexed,
        "data_bytes": data_bytes,
        "peak_bytes": peak_bytes(),
        "trie_bytes_an_item": recommender.index_bytes / items,
    }


def in_own_process(work: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    """Do something in a fresh process, and return what it tells."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def measured(benchmark: BenchmarkFixture, work: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    """Let pytest-benchmark keep what a process told; its own time holds the start of the process, too."""
    figures: dict[str, Any] = benchmark.pedantic(in_own_process, args=(work, *given), rounds=1)
    benchmark.extra_info.update(figures)
    print(", ".join(f"{name} {value:,.4g}" for name, value in figures.items()))  # noqa: T201 - for -s
    return figures


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("size", SIZES)
def bench_log(benchmark: BenchmarkFixture, tmp_path: Path, size: str, kind: str) -> None:
    """Load a log from its files to numbered histories; 32 million rows may take 60 s and 4 GB on two cores."""
    part = SIZES[size]
    path = write_log(tmp_path, ROWS // part, USERS // part, FILMS // part, kind=kind)
    figures = measured(benchmark, load_log, str(path), str(tmp_path / "home"))
    assert 0 < figures["interactions"] <= ROWS // part
    if size == "full":
        assert figures["seconds"] <= 60  # noqa: PLR2004 - what was promised
        assert figures["peak_bytes"] <= 4e9  # noqa: PLR2004 - as above


@pytest.mark.parametrize("size", SIZES)
def bench_evaluation(benchmark: BenchmarkFixture, size: str) -> None:
    """Rank 100,000 items for 200,000 users."""
    part = SIZES[size]
    figures = measured(benchmark, evaluate_many, RANKED_USERS // part, RANKED_ITEMS // part)
    assert figures["users"] == RANKED_USERS // part


@pytest.mark.parametrize("size", SIZES)
def bench_catalogue(benchmark: BenchmarkFixture, size: str) -> None:
    """Generate ten million items, code them, and build their trie: at most 40 bytes an item.

    Of fewer items, fewer codes are shared, and each takes more.
    """
    figures = measured(benchmark, make_catalogue, ITEMS // SIZES[size])
    assert figures["trie_bytes_an_item"] <= (40 if size == "full" else 50)
