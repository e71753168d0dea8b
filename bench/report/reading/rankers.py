"""Ways to serve one-pass recommenders: what each ranker saves and loses, and which way is strongest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.record import Record
from bench.report.reading.labels import machine_name
from bench.report.reading.ratios import latency_of, measured, ratio_of
from bench.statistics.latency import Ratio


@dataclass(frozen=True)
class Served:
    """One way to serve a one-pass recommender.

    Attributes:
        record: What was measured.
        to_usual: How many times as long scoring every item, operator by operator, takes; None where that was not
            measured, or is this.
        counts: Whether it loses little enough to be held against beams.
        strongest: Whether it is the fastest of those that do.

    """

    record: Record
    to_usual: Ratio | None
    counts: bool
    strongest: bool


def served_best(records: Sequence[Record]) -> list[Record]:
    """Return of each case, however it is served, the fastest way that loses little; in the order of the records."""
    return [_strongest(alike) for alike in _alike(records)]


def ways(records: Sequence[Record]) -> list[list[Served]]:
    """Return the ways of serving of each one-pass case that is measured in several, in the order of the records."""
    one_pass = [record for record in measured(records) if record.case.decoder is None]
    return [_served(alike) for alike in _alike(one_pass) if len(alike) > 1]


def _alike(records: Sequence[Record]) -> list[list[Record]]:
    by_case: dict[str, list[Record]] = {}
    for record in records:
        key = record.case.model_dump_json(exclude={"ranker", "ranking", "compiled"})
        by_case.setdefault(f"{key} {machine_name(record)}", []).append(record)
    return list(by_case.values())


def _strongest(alike: Sequence[Record]) -> Record:
    counting = [record for record in alike if record.loses_little]
    return min(counting or alike, key=lambda record: latency_of(record).p50_s)


def _served(alike: Sequence[Record]) -> list[Served]:
    usual = next((record for record in alike if record.case.ranker is None and not record.case.compiled), None)
    best = _strongest(alike)
    return [
        Served(
            record,
            to_usual=None if usual is None or record is usual else ratio_of(usual, record),
            counts=record.loses_little,
            strongest=record is best,
        )
        for record in alike
    ]
