"""What is read from records by all parts of the report: the measured ones, their metrics, their ratios."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.case import Outcome
from bench.records.cost import Latency
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.reading.labels import is_known
from bench.statistics.latency import Pairing, Ratio, latency_ratio


def is_measured(record: Record) -> bool:
    """Tell whether a case has numbers."""
    return record.outcome is Outcome.OK and record.latency is not None


def measured(records: Sequence[Record]) -> list[Record]:
    """Return the cases that have numbers."""
    return [record for record in records if is_measured(record)]


def latency_of(record: Record) -> Latency:
    """Return the latency of a measured case."""
    assert record.latency is not None
    return record.latency


def metric(record: Record, name: str) -> float | None:
    """Return a quality metric, None where there is none, or where it or its interval is no number."""
    estimate = record.quality.metrics.get(name) if isinstance(record.quality, Quality) else None
    return None if estimate is None or not is_known(estimate) else estimate.value


def ratio_of(slow: Record, fast: Record) -> Ratio:
    """Compare the latencies of two cases; those measured in one go have their start in common."""
    together = slow.provenance.started == fast.provenance.started
    return latency_ratio(latency_of(slow), latency_of(fast), pairing=Pairing.TURNS if together else Pairing.NONE)
