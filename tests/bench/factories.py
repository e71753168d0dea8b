"""Records made up for tests: plausible, small, and the same every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.ground.textfiles import packed
from bench.quality.evaluate import per_user_metrics
from bench.records.case import Case, Outcome, WeightsKind
from bench.records.cost import Flops, Index, Latency, Memory, Phase
from bench.records.learning import Ending
from bench.records.load import Load, Offered, Peak, Trial, Verdict
from bench.records.model import Unavailable
from bench.records.quality import Hits, ListAudit, Metric, Quality
from bench.records.record import Provenance, Record, Weights
from bench.records.studies import Ablation, Beam, BeamStudy, Evaluation, LeakProbe, Studies
from bench.report.run.chapter import Material
from bench.report.run.money import read_prices
from bench.statistics.ranks import Ranks


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
        "claims": case.recommender == "lite-llm4rec",
        "outcome": Outcome.OK,
        "weights": Weights(
            parameters=1000, parameter_bytes=4000, settings={"preset": "compact"}, ending=Ending.FINISHED
        ),
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
    path.write_bytes(packed(path, json.dumps(content | changes)))
    return path


LEAKY = "leaky item IDs (P5's numbering)"


def make_metric(value: float) -> Metric:
    return Metric(value=value, low=0.9 * value, high=1.1 * value)


def make_ranked_quality(skill: float, *, users: int = 200, seed: int = 0, split: str = "test") -> Quality:
    """Quality with hits: `skill` is about the share of targets among the first 20; hard users are hard for all."""
    hardness = np.random.default_rng(99).random(users)
    places = np.floor(20 * hardness / skill * np.random.default_rng(seed).lognormal(0, 0.3, users)).astype(int)
    ranks = Ranks(np.where(places < 20, places, -1), np.where(places < 20, 1, 0))
    found = np.flatnonzero(ranks.tied)
    return Quality(
        split=split,
        users=users,
        cutoff=20,
        seen="remove",
        metrics={name: make_metric(float(values.mean())) for name, values in per_user_metrics(ranks, 20).items()},
        coverage=0.5,
        valid_rate=1.0,
        hits=Hits(rows=found.tolist(), better=ranks.better[found].tolist(), tied=ranks.tied[found].tolist()),
    )


def make_evaluation(
    recommender: str = "lite-llm4rec", skill: float = 0.5, *, seed: int = 0, **changes: Any
) -> Evaluation:
    """An evaluation of weights that are told by recommender, settings and dataset; `case` changes its case."""
    settings = {"preset": "compact"} | ({"seed": seed} if seed else {}) | changes.pop("settings", {})
    case = make_case(
        recommender, settings=settings, **({"dataset": "books", "batch_size": 64} | changes.pop("case", {}))
    )
    trained = case.weights is WeightsKind.TRAINED
    values: dict[str, Any] = {
        "case": case,
        "weights": Weights(
            checkpoint=f"{recommender}-compact-seed{seed}" if trained else None,
            sha256=f"{recommender} {settings} {case.dataset}" if trained else None,
            parameters=250_000,
            parameter_bytes=1_000_000,
            training={"seconds": 600.0} if trained else {},
            ending=Ending.FINISHED if trained else None,
            settings={"seed": seed} | settings,
        ),
        "quality": make_ranked_quality(skill, seed=seed),
        "seconds": 1.5,
        "provenance": make_provenance(command="python -m bench.evaluate", dataset={"users": 200, "items": 50}),
    }
    return Evaluation(**values | changes)


def make_timed(evaluation: Evaluation, median_s: float = 0.002, *, batch_size: int = 1, **changes: Any) -> Record:
    """A record of an evaluation's weights and lists, whose quality is that of fewer users."""
    case = evaluation.case.model_copy(update={"batch_size": batch_size} | changes.pop("case", {}))
    quality = make_quality(0.2).model_copy(update={"users": 50})
    source = make_provenance(dataset=evaluation.provenance.dataset)
    values = {"weights": evaluation.weights, "quality": quality, "labels": evaluation.labels, "provenance": source}
    return make_record(case=case, median_s=median_s, **values | changes)


def make_beam_study(recommender: str = "tiger", **changes: Any) -> BeamStudy:
    """Beams that find less than all items do the wider they are, as published for semantic IDs."""
    evaluation = make_evaluation(recommender, case={"decoder": "exact", "beam_width": 5} | changes.pop("case", {}))
    beams = [
        Beam(
            width=width,
            metrics={"HR@10": make_metric(hit_rate), "NDCG@10": make_metric(0.55 * hit_rate)},
            found=round(1000 * hit_rate),
            true_rank_mean=rank,
            true_rank_median=rank and rank / 4,
            overlap=overlap,
            coverage=overlap / 2,
            valid_rate=1.0,
            duplicate_rate=0.0,
        )
        for width, hit_rate, rank, overlap in ((5, 0.0, None, 0.3), (20, 0.06, 167.25, 0.6), (100, 0.045, 40.0, 0.9))
    ]
    values: dict[str, Any] = {
        "case": evaluation.case,
        "weights": evaluation.weights,
        "users": 1000,
        "all_users": 6040,
        "exhaustive": {"HR@10": make_metric(0.04), "NDCG@10": make_metric(0.02)},
        "exhaustive_coverage": 0.55,
        "beams": beams,
        "provenance": make_provenance(
            command=f"python -m bench.beams {recommender}", dataset={"users": 6040, "items": 50}
        ),
    }
    return BeamStudy(**values | changes)


def make_leak_probe(numbering: str, hit_rate: float, **changes: Any) -> LeakProbe:
    values: dict[str, Any] = {
        "dataset": "books",
        "numbering": numbering,
        "labels": [LEAKY] if numbering == "sequential-leaky" else [],
        "users": 200,
        "metrics": {f"HR@{cutoff}": make_metric(hit_rate * factor) for cutoff, factor in ((1, 1), (5, 1.5), (10, 2))},
        "provenance": make_provenance(command="python -m bench.leaks p5", dataset={"users": 200, "items": 50}),
    }
    return LeakProbe(**values | changes)


ABLATED = (
    ("hierarchy", "flattened", 0.42, 0.0061),
    ("item LLM", "ids", 0.36, 0.0019),
    ("item LLM", "frozen", 0.46, 0.002),
)
"""What is varied, how, the skill that is left, and the latency in seconds."""


def make_ablated(dataset: str, base_s: float = 0.002) -> tuple[list[Evaluation], list[Record], list[Ablation]]:
    """A base and three variations of it in two parts, evaluated and timed."""
    base = make_evaluation(skill=0.5, case={"dataset": dataset})
    evaluations, records = [base], [make_timed(base, base_s)]
    others: dict[str, list[str]] = {}
    for title, value, skill, median_s in ABLATED:
        one = make_evaluation(skill=skill, settings={title: value}, case={"dataset": dataset})
        evaluations.append(one)
        records.append(make_timed(one, median_s))
        others.setdefault(title, []).append(one.case.variant)
    parts = [
        Ablation(title=title, dataset=dataset, base=base.case.variant, others=names) for title, names in others.items()
    ]
    return evaluations, records, parts


def make_studies() -> tuple[Studies, list[Record]]:
    """One of everything, on two datasets: studies, and what was timed beside them."""
    popularity = make_evaluation("popularity", 0.1, case={"weights": WeightsKind.AS_BUILT})
    sasrec = [make_evaluation("sasrec", skill, seed=seed) for seed, skill in enumerate((0.52, 0.55, 0.5))]
    served = {"decoder": "exact", "beam_width": 20}
    p5 = [
        make_evaluation("p5", skill, settings={"numbering": numbering}, case=served, labels=labels)
        for numbering, skill, labels in (("sequential-leaky", 0.4, [LEAKY]), ("sequential", 0.25, []))
    ]
    evaluations, records, parts = make_ablated("books")
    more, others, further = make_ablated("films", 0.0025)
    times = ((popularity, 0.0001), (sasrec[0], 0.001), (p5[1], 0.05))
    records += [make_timed(one, s * factor, batch_size=size) for one, s in times for size, factor in ((1, 1), (32, 4))]
    studies = Studies(
        evaluations=[popularity, *sasrec, *p5, *evaluations, *more],
        beams=[make_beam_study(), make_beam_study(case={"dataset": "films"})],
        leaks=[make_leak_probe("sequential-leaky", 0.04), make_leak_probe("sequential", 0.004)],
        ablations=[*parts, *further],
    )
    return studies, [*records, *others]


def write_studies(path: Path, studies: Studies) -> Path:
    path.write_bytes(packed(path, studies.model_dump_json(indent=1) + "\n"))
    return path


def make_material(records: Sequence[Record]) -> Material:
    """What the sections of a page are made of, where nothing was studied."""
    asked = [record for record in records if record.case.load is None]
    served = [record for record in records if record.case.load is not None]
    return Material(asked, Studies(), (), {}, {}, read_prices(), served)


def make_trial(rate: float | None, *, p99_s: float | None = 0.03, answered: int = 1000, **changes: Any) -> Trial:
    """One that kept 80 ms at p99 where `p99_s` did."""
    missed = p99_s is not None and p99_s > 0.08
    times = {"p50_s": 0.01, "p95_s": 0.02, "p99_s": p99_s}
    values: dict[str, Any] = {
        "rate": rate,
        "seed": 5,
        "window_ms": 2.0,
        "largest_batch": 8,
        "seconds": answered / rate if rate else 2.0,
        "sent": answered,
        "answered": answered,
        "within": 0.9 if missed else 1.0,
        "latency": times,
        "queue": {"p50_s": 0.004},
        "service": {"p50_s": 0.006},
        "late": {"p50_s": 0.0001, "p99_s": 0.0004},
        "late_max_s": 0.001,
        "batches": {1: answered // 2, 2: answered // 4},
        "verdict": Verdict.MISSED if missed else Verdict.MET,
    }
    return Trial.model_validate(values | changes)


def make_served(
    recommender: str = "lite-llm4rec", *, peak: float = 400.0, case: Case | None = None, **load: Any
) -> Record:
    """A service that keeps 80 ms at p99 up to `peak` users a second; at none where that is 0."""
    case = case or make_case(recommender, batch_size=1, scenario="open", load=Offered(workers=2))
    top = peak or 1.0
    tried = [make_trial(share * top, p99_s=0.03 if share <= 1 and peak else 0.4) for share in (0.5, 1.0, 1.3)]
    found = Peak(
        rate=peak, low=peak / 1.1, high=peak * 1.1, by_seed=[peak] * bool(peak), window_ms=2.0, largest_batch=8
    )
    values: dict[str, Any] = {"workers": 2, "pipelined": False, "trials": tried, "peak": found}
    made = make_record(case=case)
    return made.model_copy(update={"load": Load.model_validate(values | load), "flops": None, "memory": None})
