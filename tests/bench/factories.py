"""Records made up for tests: plausible, small, and the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.results.record import (
    Case,
    Flops,
    Index,
    Latency,
    ListAudit,
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


def make_case(recommender: str = "lite-llm4rec", **changes: Any) -> Case:
    values: dict[str, Any] = {
        "recommender": recommender,
        "settings": {"preset": "compact"},
        "dataset": "synthetic",
        "weights": WeightsKind.TRAINED,
        "device": "cpu",
        "dtype": "float32",
        "batch_size": 32,
        "k": 20,
        "seen": "remove",
        "threads": 1,
    }
    return Case(**values | changes)


def make_latency(median_s: float = 0.002, rounds: int = 120, turns: int = 10, seed: int = 0) -> Latency:
    samples = median_s * np.random.default_rng(seed).lognormal(0, 0.05, rounds)
    return Latency(
        rounds=rounds,
        samples_s=samples.tolist(),
        turns=[row * turns // rounds for row in range(rounds)],
        mean_s=float(samples.mean()),
        p50_s=float(np.median(samples)),
        p90_s=float(np.percentile(samples, 90)) if rounds >= 50 else None,
        p95_s=float(np.percentile(samples, 95)) if rounds >= 100 else None,
        device_s=Unavailable(unavailable="on the CPU device time is wall time"),
        users_per_second=float(32 / samples.mean()),
    )


def make_quality(ndcg: float) -> Quality:
    metrics = {name: Metric(value=ndcg, low=0.9 * ndcg, high=1.1 * ndcg) for name in ("HR@10", "NDCG@10")}
    return Quality(split="test", users=100, cutoff=20, seen="remove", metrics=metrics, coverage=0.5, valid_rate=1.0)


def make_provenance(**changes: Any) -> Provenance:
    values: dict[str, Any] = {
        "command": "pytest bench/ --benchmark-only",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "started": "2026-01-02T03:04:05+00:00",
        "machine": {"processor": "a processor", "cores": 2},
        "software": {"python": "3.11.7", "torch": "2.13.0"},
        "dataset": {"checksum": "abc", "synthetic": True, "users": 100, "items": 50},
        "dataset_warnings": ["generated data"],
    }
    return Provenance(**values | changes)


def make_record(
    recommender: str = "lite-llm4rec", *, median_s: float = 0.002, ndcg: float = 0.2, **changes: Any
) -> Record:
    case = changes.pop("case", None) or make_case(recommender)
    steps = [Phase(name=f"decode step {step}", seconds=median_s / 4, flops_per_user=1e6) for step in (1, 2)]
    values: dict[str, Any] = {
        "suite": "quick",
        "case": case,
        "outcome": Outcome.OK,
        "weights": Weights(parameters=1000, parameter_bytes=4000, settings={"preset": "compact"}),
        "latency": make_latency(median_s),
        "phases": [
            Phase(name="prepare", seconds=median_s / 4, flops_per_user=0),
            Phase(name="encode", seconds=median_s / 4, flops_per_user=2e6),
            *(steps if case.decoder else []),
            Phase(name="rank", seconds=median_s / 4, flops_per_user=1e5),
        ],
        "flops": Flops(per_user=4e6, forward_per_user=2e6, fvcore_per_user=2e6),
        "memory": Memory(peak_bytes=3 * 2**20, request_bytes=2**20),
        "energy_j_per_1000_users": Unavailable(unavailable="no GPU"),
        "index": Index(seconds=0.01, bytes=2**20),
        "quality": make_quality(ndcg),
        "audit": ListAudit(users=64, identical=64, ties=0, different=0),
        "provenance": make_provenance(),
    }
    return Record(**values | changes)


def make_failure(recommender: str, outcome: Outcome, detail: str) -> Record:
    return Record(
        suite="quick", case=make_case(recommender), outcome=outcome, detail=detail, provenance=make_provenance()
    )


def make_run() -> list[Record]:
    """The shape of the quick suite: four recommenders, two batch sizes, one failure."""
    records = []
    for batch, factor in ((1, 1.0), (32, 4.0)):
        for recommender, median_s, ndcg in (
            ("popularity", 0.0001, 0.04),
            ("sasrec", 0.001, 0.21),
            ("lite-llm4rec", 0.002, 0.2),
            ("p5", 0.08, 0.15),
        ):
            generative = {"decoder": "reference", "beam_width": 20} if recommender == "p5" else {}
            case = make_case(recommender, batch_size=batch, **generative)
            records.append(make_record(case=case, median_s=factor * median_s, ndcg=ndcg))
    records.append(make_failure("lite-llm4rec-beam", Outcome.TIMED_OUT, "took longer than 5 s"))
    return records


def write_results(path: Path, records: list[Record], **changes: Any) -> Path:
    """Write records as pytest-benchmark and our hook would."""
    dumped = [record.model_dump(mode="json") for record in records]
    ok = [{"name": "bench_request", "extra_info": values} for values in dumped if values["latency"] is not None]
    failed = [values for values in dumped if values["latency"] is None]
    content = {"machine_info": {}, "benchmarks": ok, "failed_cases": failed, "datetime": "2026-01-02T03:05:00+00:00"}
    path.write_text(json.dumps(content | changes))
    return path
