"""A comparison of runs as tables: latency, quality and cost side by side, and all values for a spreadsheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from bench.records.cost import Flops, Memory
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.comparing.comparison import NDCG, Comparison, Group, Judged, timed
from bench.report.comparing.sources import ResultSource
from bench.report.comparing.words import changed
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    Quantity,
    case_labels,
    mebibytes,
    metric_of,
    milliseconds,
    number,
    operations,
    significant,
    whole,
)
from bench.report.reading.naming import caption
from bench.report.reading.values import all_values, ratio_cell
from bench.statistics.between_runs import OneRunEach
from bench.statistics.intervals import Estimated

PERCENT = 100

MULTIPLE = 10
"""A value so many times as large is written as a multiple."""


def pair_labels(rows: Sequence[Judged]) -> list[str]:
    """Name each pair as its base's case is named among them, both recommenders where they differ."""
    names = []
    for label, row in zip(case_labels([row.base for row in rows]), rows, strict=True):
        before, after = caption(row.base), caption(row.other)
        both = before if before == after else f"{before} → {after}"
        names.append(both + label.removeprefix(before))
    return names


def latency(base: ResultSource, other: ResultSource, rows: Sequence[Judged]) -> pd.DataFrame:
    """Return verdict, medians, their ratio and tails, one row a pair."""
    first, second = base.letter, other.letter
    return pd.DataFrame(
        [
            {
                "case": label,
                "verdict": row.verdict.value,
                f"p50 {first}": _milliseconds(row.base, "p50_s"),
                f"p50 {second}": _milliseconds(row.other, "p50_s"),
                f"p50 {second} / {first}": ratio_cell(row.ratio),
                f"p95 {first}": _milliseconds(row.base, "p95_s"),
                f"p95 {second}": _milliseconds(row.other, "p95_s"),
                "p95 change": change_text(_time(row.base, "p95_s"), _time(row.other, "p95_s")),
            }
            for label, row in zip(pair_labels(rows), rows, strict=True)
        ],
        dtype=object,
    )


def _time(record: Record, name: str) -> float | None:
    return _number(getattr(timed(record), name, None))


def _milliseconds(record: Record, name: str) -> str:
    value = _time(record, name)
    if value is None:
        return NOT_AVAILABLE if record.latency is not None else record.outcome.value
    return milliseconds(value)


def change_text(before: float | None, after: float | None) -> str:
    """Write by which share a value changed, ``=`` where it did not; a multiple where that is easier to read."""
    if before is None or after is None:
        return NOT_AVAILABLE
    if before == after:
        return "="
    if before == 0:
        return NOT_AVAILABLE
    ratio = after / before
    text = f"{significant(ratio)} times" if ratio >= MULTIPLE else f"{PERCENT * (ratio - 1):+.1f} %"
    return Quantity(text, ratio)


def quality(base: ResultSource, other: ResultSource, rows: Sequence[Judged]) -> pd.DataFrame:
    """Return NDCG@10 of both and its difference, one row a pair that has any."""
    labelled = [
        (label, row)
        for label, row in zip(pair_labels(rows), rows, strict=True)
        if isinstance(row.base.quality, Quality) or isinstance(row.other.quality, Quality)
    ]
    frame = pd.DataFrame(
        [
            {
                "case": label,
                "verdict": row.quality_verdict.value,
                f"NDCG@10 {base.letter}": _ndcg(row.base),
                f"NDCG@10 {other.letter}": _ndcg(row.other),
                "difference": _difference(row),
                "as a share": _share(row),
                "users": "n/a" if row.quality is None else "the same, one by one" if row.quality.paired else "unpaired",
            }
            for label, row in labelled
        ],
        dtype=object,
    )
    return frame if frame.empty or (frame["as a share"] != NOT_AVAILABLE).any() else frame.drop(columns="as a share")


def _ndcg(record: Record) -> str:
    return metric_of(record.quality.metrics, NDCG) if isinstance(record.quality, Quality) else NOT_AVAILABLE


def _difference(row: Judged) -> str:
    if row.quality is None:
        return NOT_AVAILABLE
    gap = row.quality.difference
    return Quantity(f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]", gap.value)


def _share(row: Judged) -> str:
    share = None if row.quality is None else row.quality.relative
    if share is None:
        return NOT_AVAILABLE
    text = f"{PERCENT * share.value:+.1f} % [{PERCENT * share.low:+.1f}, {PERCENT * share.high:+.1f}]"
    return Quantity(text, share.value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


COSTS: dict[str, tuple[Callable[[Record], float | None], Callable[[float], str]]] = {
    "FLOPs/user": (
        lambda record: _number(record.flops.per_user) if isinstance(record.flops, Flops) else None,
        operations,
    ),
    "peak memory": (
        lambda record: _number(record.memory.peak_bytes) if isinstance(record.memory, Memory) else None,
        mebibytes,
    ),
    "parameters": (
        lambda record: None if record.weights is None else float(record.weights.parameters),
        lambda count: whole(int(count)),
    ),
    "J/1000 users": (lambda record: _number(record.energy_j_per_1000_users), number),
}
"""How each cost is read from a record, and how it is written."""


def costs(base: ResultSource, other: ResultSource, rows: Sequence[Judged]) -> pd.DataFrame:
    """Return what needs no clock, one row a pair: both values and the change; quantities that none has are left out."""
    cells: dict[str, list[str]] = {"case": pair_labels(rows)}
    for name, (read, write) in COSTS.items():
        pairs = [(read(row.base), read(row.other)) for row in rows]
        if all(value is None for pair in pairs for value in pair):
            continue
        for place, letter in enumerate((base.letter, other.letter)):
            cells[f"{name} {letter}"] = [
                NOT_AVAILABLE if pair[place] is None else write(pair[place] or 0.0) for pair in pairs
            ]
        cells[f"{name} change"] = [change_text(*pair) for pair in pairs]
    return pd.DataFrame(cells, dtype=object)


def unmatched(base: ResultSource, other: ResultSource, comparison: Comparison) -> pd.DataFrame:
    """Return the cases of one file only."""
    rows = [
        {"only in": source.letter, "case": record.case.name, "outcome": record.outcome.value}
        for source, records in ((base, comparison.only_base), (other, comparison.only_other))
        for record in records
    ]
    return pd.DataFrame(rows, columns=["only in", "case", "outcome"])


def values(base: ResultSource, compared: Sequence[tuple[ResultSource, Comparison]]) -> pd.DataFrame:
    """Return every scalar of both sides and what it comes to, one row a pair or unmatched case."""
    rows: list[dict[str, Any]] = []
    befores: list[Record | None] = []
    afters: list[Record | None] = []
    for other, comparison in compared:
        for group in comparison.groups:
            for row in group.rows:
                rows.append(_value_row(base, other, group, row))
                befores.append(row.base)
                afters.append(row.other)
        for source, records in ((base, comparison.only_base), (other, comparison.only_other)):
            for record in records:
                rows.append({"base_file": base.name, "file": other.name, "verdict": f"only in {source.letter}"})
                befores.append(record if source is base else None)
                afters.append(record if source is other else None)
    sides = [_side(befores, "base_"), _side(afters, "other_")]
    return pd.concat([pd.DataFrame(rows), *sides], axis=1)


def _side(records: Sequence[Record | None], prefix: str) -> pd.DataFrame:
    """Return the scalars of one side, a row of gaps where a pair lacks it."""
    places = [place for place, record in enumerate(records) if record is not None]
    frame = all_values([record for record in records if record is not None])
    return frame.set_axis(places).reindex(range(len(records))).add_prefix(prefix)


def _value_row(base: ResultSource, other: ResultSource, group: Group, row: Judged) -> dict[str, Any]:
    cells: dict[str, Any] = {"base_file": base.name, "file": other.name, "verdict": row.verdict.value}
    cells |= {"changes": changed(group)} | _ends("p50_ratio", row.ratio)
    cells |= {"quality_verdict": row.quality_verdict.value}
    gap = row.quality
    cells |= {"ndcg_paired": None if gap is None else gap.paired}
    cells |= _ends("ndcg_difference", None if gap is None else gap.difference)
    return cells | _ends("ndcg_relative_change", None if gap is None else gap.relative)


def _ends(name: str, estimate: Estimated | OneRunEach | None) -> dict[str, float | None]:
    if isinstance(estimate, OneRunEach):
        return {name: estimate.value, f"{name}_low": None, f"{name}_high": None}
    value, low, high = (None,) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
