"""What it takes to render a page of 1,000 cases with 1,000 samples each, and how large it gets."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.records.record import (
    Case,
    Flops,
    Latency,
    Memory,
    Metric,
    Outcome,
    Phase,
    Provenance,
    Quality,
    Record,
    Unavailable,
    Weights,
    WeightsKind,
)
from bench.records.store import Run
from bench.report.run.page import write_report

SAMPLES, TURNS = 1000, 20

GENERATIVE = {"p5", "tiger", "openp5-llama"}
RECOMMENDERS = ("lite-llm4rec", "sasrec", *sorted(GENERATIVE))
BATCHES = (1, 8, 32, 128)
DECODERS = ("reference", "vectorised-trie", "exact", "compiled")

SOURCE = Provenance(
    command="generated", commit=None, dirty=None, started="", machine={"processor": "generated", "cores": 2},
    software={}, dataset={"synthetic": True, "items": 1000},
)  # fmt: skip


def cases(count: int) -> list[Record]:
    """Return records of so many cases: recommenders, decoders and batches, and then their settings over and over."""
    rng = np.random.default_rng(0)
    every = list(product(RECOMMENDERS, DECODERS, BATCHES))
    return [_record(*every[row % len(every)], row // len(every), rng) for row in range(count)]


def _record(recommender: str, decoder: str, batch: int, setting: int, rng: np.random.Generator) -> Record:
    writes = recommender in GENERATIVE
    middle = 1e-3 * (1 + RECOMMENDERS.index(recommender)) * batch**0.5
    samples = np.sort(rng.lognormal(np.log(middle), 0.1, SAMPLES))
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, [50, 90, 95, 99]))
    ndcg = float(rng.uniform(0.05, 0.2))
    return Record(
        suite="generated",
        case=Case(
            recommender=recommender,
            settings={"preset": "compact", "dropout": setting / 100}
            | ({} if writes else {"seed": int(decoder == "exact")}),
            dataset=f"generated-{DECODERS.index(decoder) if not writes else 0}",
            weights=WeightsKind.TRAINED,
            device="cpu",
            dtype="float32",
            batch_size=batch,
            k=20,
            seen="remove",
            decoder=decoder if writes else None,
            beam_width=20 if writes else None,
            threads=1,
        ),
        outcome=Outcome.OK,
        weights=Weights(parameters=10**6, parameter_bytes=4 * 10**6),
        latency=Latency(
            rounds=SAMPLES,
            samples_s=rng.permutation(samples).tolist(),
            turns=[row * TURNS // SAMPLES for row in range(SAMPLES)],
            mean_s=float(samples.mean()),
            p50_s=p50,
            p90_s=p90,
            p95_s=p95,
            p99_s=p99,
            device_s=Unavailable(unavailable="no GPU"),
            users_per_second=batch / p50,
        ),
        phases=[Phase(name=name, seconds=p50 / 3, flops_per_user=1e6) for name in ("prepare", "encode", "rank")],
        flops=Flops(per_user=1e7, fvcore_per_user=1e7),
        memory=Memory(peak_bytes=10**7, request_bytes=10**6),
        quality=Quality(
            split="test",
            users=1000,
            cutoff=20,
            seen="remove",
            metrics={name: Metric(value=ndcg, low=0.9 * ndcg, high=1.1 * ndcg) for name in ("NDCG@10", "HR@10")},
            coverage=0.5,
            valid_rate=1.0,
        ),
        provenance=SOURCE,
    )


@pytest.mark.parametrize("count", [30, 1000])
def bench_page(benchmark: BenchmarkFixture, tmp_path: Path, count: int) -> None:
    """Render everything: page, Markdown, tables, figures."""
    run = Run(tmp_path / "run.json", "", tuple(cases(count)))
    benchmark.pedantic(write_report, args=([run], tmp_path / "out"), rounds=1)
    benchmark.extra_info["page_bytes"] = (tmp_path / "out" / "index.html").stat().st_size
