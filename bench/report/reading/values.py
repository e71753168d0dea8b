"""Every scalar of a record, and how a ratio is written."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.records.conditions import Overhead, Repeats, Roofline
from bench.records.cost import Flops, FurtherMeasure, Latency, Memory
from bench.records.quality import Agreement, ListAudit, Quality
from bench.records.rankers import Ranked
from bench.records.record import Record
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    Quantity,
    significant,
    with_interval,
)
from bench.report.reading.naming import caption
from bench.statistics.between_runs import OneRunEach
from bench.statistics.intervals import Estimated
from bench.statistics.latency import latency_median


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
        "label": caption(record),
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
        "ranker": case.ranker,
        "compiled": case.compiled,
        "scores": case.scores,
        "threads": case.threads,
        "outcome": record.outcome.value,
        "detail": record.detail,
        "labels": "; ".join(record.labels),
    }
    row |= {"parameters": weights and weights.parameters, "parameter_bytes": weights and weights.parameter_bytes}
    row["checkpoint"] = weights and weights.checkpoint
    row |= _median_between(latency)
    for name in ("rounds", "mean_s", "p50_s", "p90_s", "p95_s", "p99_s", "device_s", "users_per_second"):
        row[f"latency_{name}" if name.endswith("_s") else name] = as_number(getattr(latency, name, None))
    flops = record.flops if isinstance(record.flops, Flops) else None
    row["flops_per_user"] = flops and flops.per_user
    row["flops_per_user_one_forward"] = flops and flops.forward_per_user
    row["fvcore_flops_per_user_one_forward"] = flops and as_number(flops.fvcore_per_user)
    row["closed_form_flops_per_user_one_forward"] = flops and as_number(flops.closed_form_per_user)
    row["operators_per_request"] = flops and flops.operators
    memory = record.memory if isinstance(record.memory, Memory) else None
    row |= {"peak_bytes": memory and memory.peak_bytes, "request_bytes": memory and memory.request_bytes}
    row |= {"process_bytes": memory and as_number(memory.process_bytes)}
    row["energy_j_per_1000_users"] = as_number(record.energy_j_per_1000_users)
    row["idle_power_w"] = record.energy and record.energy.idle_power_w
    row |= {
        f"{name} ({measure.unit})" if measure.unit else name: measure.value
        for name, measure in further_measures(record).items()
    }
    row |= _trust_values(record)
    row |= {"index_s": record.index and record.index.seconds, "index_bytes": record.index and record.index.bytes}
    row |= {f"ranker_{name}": getattr(record.ranked, name, None) for name in Ranked.model_fields}
    row |= _quality_values(record)
    audit = record.audit if isinstance(record.audit, ListAudit) else None
    row |= {f"audited_{name}": audit and getattr(audit, name) for name in ListAudit.model_fields}
    agreement = record.agreement
    row |= {f"agreement_{name}": agreement and getattr(agreement, name) for name in Agreement.model_fields}
    source = record.provenance
    return row | {"commit": source.commit, "uncommitted_changes": source.dirty, "started": source.started}


def _median_between(latency: Latency | None) -> dict[str, object]:
    """Return the ends of the 95 % interval of the median, from a bootstrap over turns."""
    if latency is None:
        return {"latency_p50_low_s": None, "latency_p50_high_s": None}
    median = latency_median(latency)
    return {"latency_p50_low_s": median.low_s, "latency_p50_high_s": median.high_s}


def _trust_values(record: Record) -> dict[str, object]:
    """Return what tells how far the latency can be trusted, and how near it comes to the machine's limit."""
    latency, seen = record.latency, record.conditions
    work = record.roofline if isinstance(record.roofline, Roofline) else None
    return {
        "host_overhead_s": as_number(getattr(latency, "host_overhead_s", None)),
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


def further_measures(record: Record) -> dict[str, FurtherMeasure]:
    """Return what was measured that has no field of its own, by name."""
    return {name: value for name, value in record.further.items() if isinstance(value, FurtherMeasure)}


def _quality_values(record: Record) -> dict[str, object]:
    quality = record.quality
    if not isinstance(quality, Quality):
        return {}
    row: dict[str, object] = {"users_ranked": quality.users}
    for name, value in quality.metrics.items():
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return row | {"coverage": quality.coverage, "valid_rate": quality.valid_rate}


def as_number(value: object) -> float | None:
    """Return a number; None for what is none, such as a reason why there is none."""
    return float(value) if isinstance(value, (int, float)) else None


def ratio_cell(ratio: Estimated | OneRunEach | None) -> str:
    """Write a ratio with its interval, or without where there is none."""
    if isinstance(ratio, OneRunEach):
        return Quantity(significant(ratio.value), ratio.value)
    return NOT_AVAILABLE if ratio is None else with_interval(ratio.value, ratio.low, ratio.high)
