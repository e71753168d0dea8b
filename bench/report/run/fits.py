"""What the page needs to answer, without a server, which case fits a budget, and which rows its reader chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.cost import Memory
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.reading.facets import ANY, Facets, offered
from bench.report.reading.labels import groups, is_known, machine_name
from bench.report.reading.ratios import latency_of, measured
from bench.report.run.first_rows import ASKED, COMBINED, QUALITY, FirstRow, first_facets, notes
from bench.report.run.load import hours_within, load_of, services
from bench.report.run.money import hours


def choices(rows: Sequence[FirstRow]) -> dict[str, Any]:
    """Return what readers choose from, what is chosen at first, and the cases behind the rows, in their order.

    Times are in milliseconds, memory in MiB; what was not measured is None.
    """
    records = [row.record for row in rows]
    every = {tuple(row.facets[name] for name in COMBINED): None for row in rows}
    return {
        "offered": offered(records) | {ASKED: list(dict.fromkeys(row.facets[ASKED] for row in rows))},
        "combining": list(COMBINED),
        "chosen": first_choice(records),
        "combined": [list(combination) for combination in every],
        "cases": [_case(row) for row in rows],
        "quality": QUALITY,
    }


def first_choice(records: Sequence[Record]) -> Facets:
    """Return what a page shows at first: the setting that holds most, of the first dataset, at its smallest batch."""
    if not records:
        return {}
    dataset = first_facets(records[0])["dataset"]
    counts: dict[tuple[str, ...], int] = {}
    for record in records:
        facets = first_facets(record)
        if facets["dataset"] == dataset:
            key = tuple(facets[name] for name in COMBINED)
            counts[key] = counts.get(key, 0) + 1
    most = max(counts.values())
    large = [key for key, count in counts.items() if count >= most / 2]
    batch = COMBINED.index("batch")
    chosen = min(large, key=lambda key: int(key[batch]))
    return dict(zip(COMBINED, chosen, strict=True)) | {"decoder": ANY}


def peak_bytes(record: Record) -> int | None:
    """Return the peak memory of a case; None where it was not measured."""
    return record.memory.peak_bytes if isinstance(record.memory, Memory) else None


def _case(row: FirstRow) -> dict[str, Any]:
    record = row.record
    latency, held = latency_of(record), peak_bytes(record)
    estimate = record.quality.metrics.get(QUALITY) if isinstance(record.quality, Quality) else None
    is_told = estimate is not None and is_known(estimate)
    times = {"p50": latency.p50_s, "p95": latency.p95_s, "p99": latency.p99_s}
    return {
        "name": row.name,
        "facets": row.facets,
        "under": list(row.under),
        "few": row.few,
        "quality": [estimate.value, estimate.low, estimate.high] if is_told and estimate is not None else None,
        **{name: None if seconds is None else 1e3 * seconds for name, seconds in times.items()},
        "users": latency.users_per_second,
        "memory": None if held is None else held / 2**20,
        "device": machine_name(record),
        "hours": hours(record),
        "cautions": list(record.labels),
        "notes": notes(record),
    } | ({} if record.case.load is None else _service(record))


def _service(record: Record) -> dict[str, Any]:
    """Return what a service has in place: times by the offered rate; those at which too much arrived are left out."""
    carried = {trial.rate: trial.latency for trial in load_of(record).trials if trial.rate and not trial.saturated}
    times = [(rate, found.p50_s, found.p95_s, found.p99_s) for rate, found in sorted(carried.items())]
    curve = [(rate, *(None if second is None else 1e3 * second for second in seconds)) for rate, *seconds in times]
    late = ["the client was late"] if load_of(record).main.invalid else []
    return {
        "curve": curve,
        "kept": load_of(record).main.rate,
        "memory": None,
        "hours": hours_within(record),
        "notes": [*notes(record), *late],
    }


def several(records: Sequence[Record], served: Sequence[Record] = ()) -> bool:
    """Tell whether there is anything to choose between."""
    grouped = [*groups(measured(records)).values(), *services(served).values()]
    return any(len(group) > 1 for group in grouped)
