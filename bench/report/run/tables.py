"""The results as tables: every scalar for a spreadsheet, the telling ones for readers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.records.conditions import Roofline
from bench.records.cost import Flops, Memory
from bench.records.quality import Quality
from bench.records.record import Record
from bench.records.studies import Evaluation
from bench.report.reading.distrust import FULL_PRECISION
from bench.report.reading.facets import Chosen, chosen_labels, facets_of
from bench.report.reading.findings import comparisons, percent_saved, recall_change
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    Quantity,
    decoder_name,
    mebibytes,
    metric_of,
    milliseconds,
    number,
    operations,
    share,
    significant,
    whole,
)
from bench.report.reading.ladder import Rung, ladders
from bench.report.reading.naming import caption, dataset_name
from bench.report.reading.ratios import is_measured, latency_of, measured
from bench.report.reading.trained import how_trained
from bench.report.reading.values import as_number, further_measures, ratio_cell
from bench.report.run import money
from bench.report.run.money import Price

PHASE_COLUMNS = [
    "case", "phase", "seconds_under_profiler", "flops_per_user", "bytes_per_user", "lower_bound_s", "share_attained",
    "flop_per_byte",
]  # fmt: skip


def results(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a case for readers: quality with intervals beside cost, units in the cells."""
    labels = chosen_labels(records)
    rows = [{"case": label} | _cells(record) for label, record in zip(labels, records, strict=True)]
    return pd.DataFrame(rows, dtype=object)


def _cells(record: Record) -> dict[str, str]:
    latency, weights = record.latency, record.weights
    quality = record.quality if isinstance(record.quality, Quality) else None
    metrics = {} if quality is None else quality.metrics
    flops = record.flops if isinstance(record.flops, Flops) else None
    memory = record.memory if isinstance(record.memory, Memory) else None
    tail = None if latency is None else latency.p95_s
    return {
        "data": dataset_name(record),
        "weights": record.case.weights.value,
        "training": how_trained(record),
        "NDCG@10": metric_of(metrics, "NDCG@10"),
        "HR@10": metric_of(metrics, "HR@10"),
        "coverage": NOT_AVAILABLE if quality is None else share(quality.coverage),
        "p50": NOT_AVAILABLE if latency is None else milliseconds(latency.p50_s),
        "p95": NOT_AVAILABLE if tail is None else milliseconds(tail),
        "FLOPs/user": NOT_AVAILABLE if flops is None else operations(flops.per_user),
        "peak memory": NOT_AVAILABLE if memory is None else mebibytes(memory.peak_bytes),
        "parameters": NOT_AVAILABLE if weights is None else whole(weights.parameters),
        "outcome": record.outcome.value,
    }


def costs(records: Sequence[Record], prices: Sequence[Price]) -> pd.DataFrame:
    """Return one row a measured case: operations, bytes, energy and money; columns that nobody fills are left out."""
    shown = [
        (label, record) for label, record in zip(chosen_labels(records), records, strict=True) if is_measured(record)
    ]
    rows = [{"case": label} | _cost_cells(record, prices) for label, record in shown]
    frame = pd.DataFrame(rows, dtype=object).fillna(NOT_AVAILABLE)
    return frame.drop(columns=[name for name in frame.columns if (frame[name] == NOT_AVAILABLE).all()])


def _cost_cells(record: Record, prices: Sequence[Price]) -> dict[str, str]:
    flops = record.flops if isinstance(record.flops, Flops) else None
    memory = record.memory if isinstance(record.memory, Memory) else None
    work = record.roofline if isinstance(record.roofline, Roofline) else None
    held = memory.process_bytes if memory is not None and isinstance(memory.process_bytes, int) else None
    joules, index, energy = as_number(record.energy_j_per_1000_users), record.index, record.energy
    operators = None if flops is None else flops.operators
    parts = {} if memory is None else memory.parts
    return {
        "per million users": money.cell(record, prices),
        "FLOPs/user": NOT_AVAILABLE if flops is None else operations(flops.per_user),
        "operators": NOT_AVAILABLE if operators is None else whole(operators),
        "moved": NOT_AVAILABLE if work is None else mebibytes(work.bytes),
        "peak memory": NOT_AVAILABLE if memory is None else mebibytes(memory.peak_bytes),
        "of which the request": NOT_AVAILABLE if memory is None else mebibytes(memory.request_bytes),
        "made of": ", ".join(f"{name} {mebibytes(size)}" for name, size in parts.items()) or NOT_AVAILABLE,
        "process memory": NOT_AVAILABLE if held is None else mebibytes(held),
        "J/1000 users": NOT_AVAILABLE if joules is None else number(joules),
        "power": NOT_AVAILABLE if energy is None else f"{energy.power_w:.0f} W ({energy.idle_power_w:.0f} W idle)",
        "indexing": NOT_AVAILABLE if index is None else milliseconds(index.seconds),
        "index": NOT_AVAILABLE if index is None else mebibytes(index.bytes),
        **{
            measure.title: f"{number(measure.value)} {measure.unit}".rstrip()
            for measure in further_measures(record).values()
        },
    }


PAPER = [
    {
        "source": f"paper, {version}",
        "one pass": "Lite-LLM4Rec",
        "beam search": "not known to us",
        "setting": "ML-1M; hardware and batch size not known to us",
        "time saved": saved,
        "times as fast": times_as_fast,
        "HR@10 change": "+46.8 %",
    }
    for version, saved, times_as_fast in (("first version", "97.28 %", "36.8"), ("published version", "99.48 %", "192"))
]
"""What arXiv 2402.09543 claims; times as fast = 1 / (1 - time saved)."""


def claims(records: Sequence[Record]) -> pd.DataFrame:
    """Return the paper's two claims and what was measured of them, one row a comparison."""
    rows = [
        {
            "source": "measured here",
            "one pass": Chosen(caption(comparison.fast), facets_of(comparison.fast) | facets_of(comparison.slow)),
            "beam search": caption(comparison.slow),
            "setting": comparison.group,
            "time saved": Quantity(percent_saved(comparison.ratio), comparison.ratio.saved_percent[0]),
            "times as fast": ratio_cell(comparison.ratio),
            "HR@10 change": recall_change(comparison),
        }
        for comparison in comparisons(records)
    ]
    return pd.DataFrame([*PAPER, *rows], dtype=object)


def ladder(records: Sequence[Record]) -> pd.DataFrame:
    """Return the rungs of every ladder of decoders, one row a rung."""
    return pd.DataFrame([_rung_cells(rung) for rungs in ladders(records) for rung in rungs], dtype=object)


def _rung_cells(rung: Rung) -> dict[str, str]:
    record = rung.record
    return {
        "recommender and setting": Chosen(rung.setting, facets_of(record)),
        "decoder": decoder_name(record),
        "p50": milliseconds(latency_of(record).p50_s),
        "times as fast as reference": ratio_cell(rung.to_reference),
        "times as fast as the rung below": _beside(rung),
        **_agreement_cells(record),
        "NDCG@10 difference": NOT_AVAILABLE
        if rung.ndcg_change is None
        else Quantity(f"{rung.ndcg_change:+.4f}", rung.ndcg_change),
    }


def _agreement_cells(record: Record) -> dict[str, str]:
    """Tell how far lists agree; where weights are rounded, scores lie too close for an order of ties to be told."""
    names, agreement = ("lists compared with", "identical lists", "overlap of lists"), record.agreement
    if agreement is None:
        return dict.fromkeys(names, NOT_AVAILABLE)
    told = agreement.ties and record.case.dtype == FULL_PRECISION
    ties = f", {agreement.ties / agreement.users:.1%} but for ties" if told else ""
    cells = (
        f"{agreement.compared_with}, {agreement.users} users",
        f"{agreement.identical / agreement.users:.1%}{ties}",
    )
    return dict(zip(names, (*cells, f"{agreement.overlap:.1%}"), strict=True))


def _beside(rung: Rung) -> str:
    """Write how much faster a rung is than the one below, which is named: rows may be sorted."""
    if rung.before is None or rung.to_before is None:
        return NOT_AVAILABLE
    return Quantity(f"{ratio_cell(rung.to_before)}, {decoder_name(rung.before)}", rung.to_before.value)


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
    failed = [record for record in records if not is_measured(record)]
    return pd.DataFrame(
        [
            {
                "case": Chosen(record.case.name, facets_of(record)),
                "outcome": record.outcome.value,
                "detail": record.detail,
            }
            for record in failed
        ]
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
                "as it is typed": record.case.recommender,
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
