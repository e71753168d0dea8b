"""The results as tables: every scalar for a spreadsheet, the telling ones for readers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.report.findings import FULL_PRECISION, comparisons, percent_saved, recall_change, times
from bench.report.labels import (
    NOT_AVAILABLE,
    caption,
    case_labels,
    dataset_name,
    decoder_name,
    mebibytes,
    milliseconds,
    operations,
    significant,
)
from bench.report.ladder import Rung, ladders
from bench.report.ratios import latency_of, measured
from bench.results.compare import Ratio
from bench.results.conditions import Overhead, Repeats, Roofline
from bench.results.record import Agreement, Flops, ListAudit, Memory, Metric, Quality, Record
from bench.results.studies import Evaluation

PHASE_COLUMNS = [
    "case", "phase", "seconds_under_profiler", "flops_per_user", "bytes_per_user", "lower_bound_s", "share_attained",
    "flop_per_byte",
]  # fmt: skip


def all_values(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a case with every scalar, units in the columns' names; missing values stay missing."""
    return pd.DataFrame([_values(record) for record in records]).convert_dtypes()  # counts stay whole beside gaps


def _values(record: Record) -> dict[str, object]:
    case, latency, weights = record.case, record.latency, record.weights
    row: dict[str, object] = {
        "case": case.name,
        "suite": record.suite,
        "recommender": case.recommender,
        "variant": case.variant,
        "dataset": case.dataset,
        "loaded_with": ", ".join(f"{name} {value}" for name, value in case.loaded_with.items()),
        "synthetic": record.provenance.dataset.get("synthetic"),
        "preset": case.settings.get("preset"),
        "weights": case.weights.value,
        "device": case.device,
        "dtype": case.dtype,
        "batch_size": case.batch_size,
        "k": case.k,
        "seen_items": case.seen,
        "decoder": case.decoder,
        "beam_width": case.beam_width,
        "scores": case.scores,
        "threads": case.threads,
        "outcome": record.outcome.value,
        "detail": record.detail,
        "labels": "; ".join(record.labels),
    }
    row |= {"parameters": weights and weights.parameters, "parameter_bytes": weights and weights.parameter_bytes}
    row["checkpoint"] = weights and weights.checkpoint
    for name in ("rounds", "mean_s", "p50_s", "p90_s", "p95_s", "p99_s", "device_s", "users_per_second"):
        row[f"latency_{name}" if name.endswith("_s") else name] = _number(getattr(latency, name, None))
    flops = record.flops if isinstance(record.flops, Flops) else None
    row["flops_per_user"] = flops and flops.per_user
    row["flops_per_user_one_forward"] = flops and flops.forward_per_user
    row["fvcore_flops_per_user_one_forward"] = flops and _number(flops.fvcore_per_user)
    row["closed_form_flops_per_user_one_forward"] = flops and _number(flops.closed_form_per_user)
    row["operators_per_request"] = flops and flops.operators
    memory = record.memory if isinstance(record.memory, Memory) else None
    row |= {"peak_bytes": memory and memory.peak_bytes, "request_bytes": memory and memory.request_bytes}
    row |= {"process_bytes": memory and _number(memory.process_bytes)}
    row["energy_j_per_1000_users"] = _number(record.energy_j_per_1000_users)
    row["idle_power_w"] = record.energy and record.energy.idle_power_w
    row |= _trust_values(record)
    row |= {"index_s": record.index and record.index.seconds, "index_bytes": record.index and record.index.bytes}
    row |= _quality_values(record)
    audit = record.audit if isinstance(record.audit, ListAudit) else None
    row |= {f"audited_{name}": audit and getattr(audit, name) for name in ListAudit.model_fields}
    agreement = record.agreement
    row |= {f"agreement_{name}": agreement and getattr(agreement, name) for name in Agreement.model_fields}
    source = record.provenance
    return row | {"commit": source.commit, "uncommitted_changes": source.dirty, "started": source.started}


def _trust_values(record: Record) -> dict[str, object]:
    """Return what tells how far the latency can be trusted, and how near it comes to the machine's limit."""
    latency, seen = record.latency, record.conditions
    work = record.roofline if isinstance(record.roofline, Roofline) else None
    return {
        "host_overhead_s": _number(getattr(latency, "host_overhead_s", None)),
        "warmup_rounds": getattr(latency, "warmup_rounds", None),
        "stationary": getattr(latency, "stationary", None),
        "bytes_moved_per_request": work and work.bytes,
        "lower_bound_s": work and work.bound_s,
        "timing_overhead_s": record.overhead.seconds if isinstance(record.overhead, Overhead) else None,
        "repeated_over_fresh": record.repeats.ratio if isinstance(record.repeats, Repeats) else None,
        "involuntary_switches": seen and seen.involuntary_switches,
        "other_cores": seen and seen.other_cores,
        "repeated_turns": seen and seen.repeated_turns,
        "disturbed_turns": seen and seen.disturbed_turns,
        "unstable": seen and seen.unstable,
    }


def _quality_values(record: Record) -> dict[str, object]:
    quality = record.quality
    if not isinstance(quality, Quality):
        return {}
    row: dict[str, object] = {"users_ranked": quality.users}
    for name, value in quality.metrics.items():
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return row | {"coverage": quality.coverage, "valid_rate": quality.valid_rate}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def results(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a case for readers: quality with intervals beside cost, units in the cells."""
    frame = pd.DataFrame(
        [{"case": label} | _cells(record) for label, record in zip(case_labels(records), records, strict=True)]
    )
    without_energy = (frame["J/1000 users"] == NOT_AVAILABLE).all()
    return frame.drop(columns="J/1000 users") if without_energy else frame


def _cells(record: Record) -> dict[str, str]:
    latency, weights, index = record.latency, record.weights, record.index
    quality = record.quality if isinstance(record.quality, Quality) else None
    flops = record.flops if isinstance(record.flops, Flops) else None
    memory = record.memory if isinstance(record.memory, Memory) else None
    tail = None if latency is None else latency.p95_s
    energy = _number(record.energy_j_per_1000_users)
    return {
        "data": dataset_name(record),
        "weights": record.case.weights.value,
        "NDCG@10": _interval(quality, "NDCG@10"),
        "HR@10": _interval(quality, "HR@10"),
        "coverage": NOT_AVAILABLE if quality is None else f"{quality.coverage:.1%}",
        "p50": NOT_AVAILABLE if latency is None else milliseconds(latency.p50_s),
        "p95": NOT_AVAILABLE if tail is None else milliseconds(tail),
        "rounds": NOT_AVAILABLE if latency is None else str(latency.rounds),
        "users/s": NOT_AVAILABLE if latency is None else significant(latency.users_per_second),
        "FLOPs/user": NOT_AVAILABLE if flops is None else operations(flops.per_user),
        "peak memory": NOT_AVAILABLE if memory is None else mebibytes(memory.peak_bytes),
        "J/1000 users": NOT_AVAILABLE if energy is None else significant(energy),
        "parameters": NOT_AVAILABLE if weights is None else f"{weights.parameters:,}",
        "index": NOT_AVAILABLE if index is None else f"{milliseconds(index.seconds)}, {mebibytes(index.bytes)}",
        "outcome": record.outcome.value,
    }


def _interval(quality: Quality | None, name: str) -> str:
    metric: Metric | None = None if quality is None else quality.metrics.get(name)
    if metric is None or not math.isfinite(metric.value):
        return NOT_AVAILABLE
    return f"{metric.value:.4f} [{metric.low:.3f}, {metric.high:.3f}]"


PAPER = [
    {
        "source": f"paper, {version}",
        "one pass": "Lite-LLM4Rec",
        "beam search": "not known to us",
        "setting": "ML-1M; hardware and batch size not known to us",
        "time saved": saved,
        "times as fast": times_as_fast,
        "Recall@10 change": "+46.8 %",
    }
    for version, saved, times_as_fast in (("first version", "97.28 %", "36.8"), ("published version", "99.48 %", "192"))
]
"""What arXiv 2402.09543 claims; times as fast = 1 / (1 - time saved)."""


def claims(records: Sequence[Record]) -> pd.DataFrame:
    """Return the paper's two claims and what was measured of them, one row a comparison."""
    rows = [
        {
            "source": "measured here",
            "one pass": caption(one.fast),
            "beam search": caption(one.slow),
            "setting": one.group,
            "time saved": percent_saved(one.ratio),
            "times as fast": _times(one.ratio),
            "Recall@10 change": recall_change(one),
        }
        for one in comparisons(records)
    ]
    return pd.DataFrame([*PAPER, *rows])


def ladder(records: Sequence[Record]) -> pd.DataFrame:
    """Return the rungs of every ladder of decoders, one row a rung."""
    return pd.DataFrame([_rung_cells(rung) for rungs in ladders(records) for rung in rungs])


def _rung_cells(rung: Rung) -> dict[str, str]:
    record = rung.record
    return {
        "recommender and setting": rung.setting,
        "decoder": decoder_name(record),
        "p50": milliseconds(latency_of(record).p50_s),
        "times as fast as reference": _times(rung.to_reference),
        "times as fast as the row above": _times(rung.to_before),
        **_agreement_cells(record),
        "NDCG@10 difference": NOT_AVAILABLE if rung.ndcg_change is None else f"{rung.ndcg_change:+.4f}",
    }


def _agreement_cells(record: Record) -> dict[str, str]:
    """Tell how far lists agree; where weights are rounded, scores lie too close for an order of ties to be told."""
    names, found = ("lists compared with", "identical lists", "overlap of lists"), record.agreement
    if found is None:
        return dict.fromkeys(names, NOT_AVAILABLE)
    told = found.ties and record.case.dtype == FULL_PRECISION
    ties = f", {found.ties / found.users:.1%} but for ties" if told else ""
    cells = (f"{found.compared_with}, {found.users} users", f"{found.identical / found.users:.1%}{ties}")
    return dict(zip(names, (*cells, f"{found.overlap:.1%}"), strict=True))


def _times(ratio: Ratio | None) -> str:
    return NOT_AVAILABLE if ratio is None else times(ratio).replace(" times", "")


def phases(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row for each phase of each case, in the order of the request."""
    rows = [
        {
            "case": record.case.name,
            "phase": phase.name,
            "seconds_under_profiler": phase.seconds,
            "flops_per_user": phase.flops_per_user,
            "bytes_per_user": phase.bytes_per_user,
            "lower_bound_s": phase.bound_s,
            "share_attained": phase.bound_s / phase.seconds if phase.bound_s is not None and phase.seconds else None,
            "flop_per_byte": phase.flops_per_user / phase.bytes_per_user
            if phase.flops_per_user is not None and phase.bytes_per_user
            else None,
        }
        for record in measured(records)
        if isinstance(record.phases, list)
        for phase in record.phases
    ]
    return pd.DataFrame(rows, columns=PHASE_COLUMNS)


def failures(records: Sequence[Record]) -> pd.DataFrame:
    """Return the cases without numbers, and why."""
    failed = [record for record in records if record.latency is None]
    return pd.DataFrame(
        [{"case": record.case.name, "outcome": record.outcome.value, "detail": record.detail} for record in failed]
    )


def settings(records: Sequence[Record | Evaluation]) -> pd.DataFrame:
    """Return weights, training and settings, one row a recommender and seed."""
    rows: dict[str, dict[str, str]] = {}
    for record in records:
        if record.weights is None:
            continue
        seed = record.case.settings.get("seed")
        key = f"{caption(record)} on {dataset_name(record)}" + (f", seed {seed}" if seed else "")
        rows.setdefault(
            key,
            {
                "recommender": key,
                "settings": _pairs(record.weights.settings),
                "training": _pairs(record.weights.training) or "none",
                "tokenizer": record.weights.tokenizer or "none",
                "checkpoint": record.weights.checkpoint or "none",
            },
        )
    return pd.DataFrame(list(rows.values()))


def _pairs(values: dict[str, str | int | float | bool | None]) -> str:
    shown = {name: significant(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value not in (None, ""))
