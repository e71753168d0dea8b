"""The section "Under load": how many users a second each service answers within its limit, and what happens beyond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.records.case import WeightsKind
from bench.records.load import Load, Offered, Percentiles, Trial, Verdict
from bench.records.record import Record
from bench.report.drawing.section import Titled
from bench.report.reading.labels import (
    NONE,
    NOT_AVAILABLE,
    Quantity,
    case_labels,
    listed,
    machine_name,
    mebibytes,
    metric_of,
    milliseconds,
    number,
    share,
    significant,
    with_interval,
)
from bench.report.reading.naming import caption, dataset_name
from bench.report.reading.ratios import measured
from bench.report.run import served
from bench.report.run.chapter import About, Chapter, Content, Material
from bench.report.run.money import HOUR_S, MILLION, Price, price_of

NOTE = (
    "Each recommender behind a batcher, asked by users who arrive at random. Latency counts from the arrival as "
    "scheduled to the list at the client: queue until a worker took the request into a batch, service from there. "
    "Users/s within: the highest rate that keeps the limit; brackets: 95 % interval over draws of arrivals. Window and "
    "batch: those that carry most. The rest of the row is at that rate, one trial. Cost per million and energy are at "
    "that rate, not at saturation. A failed request misses the limit; one that the end cut short is left out; n/a: too "
    "few requests to tell. A cold start is of a fresh process, the file cache warm; programs that are made for the "
    "first request are in its answer. A new catalogue is taken in again and again by a process beside the service."
)
AGREES = "agrees within 5 %"


def services(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return what was measured as services, by what they must share to be compared: data, machine, limit, workers."""
    by_setting: dict[str, list[Record]] = {}
    for record in measured(records):
        if record.load is not None:
            by_setting.setdefault(_setting(record), []).append(record)
    return by_setting


def load_of(record: Record) -> Load:
    """Return how a measured service answered."""
    assert record.load is not None
    return record.load


def offered_to(record: Record) -> Offered:
    """Return what was asked of a service."""
    assert record.case.load is not None
    return record.case.load


def cores(record: Record) -> str:
    """Say what answered, such as ``2 cores``."""
    if record.case.device != "cpu":
        return machine_name(record)
    units = load_of(record).workers * record.case.threads
    return f"{units} core{'s' if units > 1 else ''}"


def _setting(record: Record) -> str:
    case, slo = record.case, offered_to(record).slo
    arrivals = {"open": "", "offline": ", all at once", "trace": ", replayed"}.get(case.scenario, f", {case.scenario}")
    what = f"{cores(record)}, {case.dtype}, top {case.k}, p{slo.percentile:g} ≤ {slo.limit_ms:g} ms{arrivals}"
    return f"{dataset_name(record)}, {what}, {machine_name(record)}"


def answer(records: Sequence[Record]) -> list[str]:
    """Say in a sentence each what the services of a setting answer within the limit, or where they were asked to."""
    sentences = []
    for group in services(records).values():
        searched = [record for record in group if load_of(record).peak is not None]
        if not searched:
            sentences.append(_asked(group))
            continue
        slo = offered_to(searched[0]).slo
        ranked = sorted(searched, key=peak_rate, reverse=True)
        untrained = any(record.case.weights is WeightsKind.UNTRAINED for record in group)
        told = listed([f"{caption(record)} {_users(record)}" for record in ranked])
        sentences.append(
            f"Under load, {dataset_name(searched[0])}, on {cores(searched[0])} at p{slo.percentile:g} ≤ "
            f"{slo.limit_ms:g} ms: {told}{' (cost alone was measured)' if untrained else ''}."
        )
    return sentences


def headline(records: Sequence[Record]) -> str:
    """Say of each setting who answers most users, what claimants and the strongest beam search do, and the papers'."""
    sentences = []
    for group in services(records).values():
        ranked = sorted((record for record in group if load_of(record).peak is not None), key=peak_rate, reverse=True)
        if not ranked:
            sentences.append(_asked(group))
            continue
        first, others = ranked[0], ranked[1:]
        beams = [record for record in others if record.case.search is not None and record.case.search.has_beams]
        told = [f"{caption(record)} {_users(record)}" for record in others if record.claims]
        told += [f"the strongest beam search, {caption(record)}, {_users(record)}" for record in beams[:1]]
        told += [f"the papers' own {_users(record)}" for record in beams[1:] if record.case.is_reference][:1]
        slo = offered_to(first).slo
        sentences.append(
            f"On {dataset_name(first)} {caption(first)} answers most, {_users(first)} on {cores(first)} at "
            f"p{slo.percentile:g} ≤ {slo.limit_ms:g} ms{''.join(f'; {words}' for words in told)}."
        )
    return " ".join(sentences)


def _asked(records: Sequence[Record]) -> str:
    """Say how long services took at the rate that was named, or how much they answered of what came at once."""
    mains = {caption(record): load_of(record).main for record in records}
    rates = {main.rate for main in mains.values()}
    (rate,) = rates if len(rates) == 1 else (None,)
    where = f"Under load, {dataset_name(records[0])}, on {cores(records[0])}"
    if rate is None:
        told = [f"{name} {number(main.achieved or 0.0)} users/s" for name, main in mains.items()]
        return f"{where}, answered: {listed(told)}."
    slo = offered_to(records[0]).slo
    told = [
        f"{name} {NOT_AVAILABLE if main.within is None else share(main.within)} within {slo.limit_ms:g} ms"
        f" (p99 {_time(main.latency.p99_s)})"
        for name, main in mains.items()
    ]
    return f"{where}, at {significant(rate)} a second: {listed(told)}."


def peak_rate(record: Record) -> float:
    """Return the highest rate that a service keeps its limit at; 0 where there is none, or none was looked for."""
    peak = load_of(record).peak
    return 0.0 if peak is None else peak.rate or 0.0


def _users(record: Record) -> str:
    peak = load_of(record).peak
    assert peak is not None
    if peak.rate is None:
        return f"below {significant(peak.high)} users/s"
    late = " (not valid: the client was late)" if load_of(record).main.invalid else ""
    return f"{with_interval(peak.rate, peak.low, peak.high)} users/s{late}" if peak.rate else "none"


def at_the_limit(records: Sequence[Record], prices: Sequence[Price]) -> pd.DataFrame:
    """Return a row a service: what it does at the highest rate that keeps its limit, most users first."""
    ranked = sorted(records, key=peak_rate, reverse=True)
    names = dict(zip(map(id, records), case_labels(records), strict=True))
    return pd.DataFrame([_row(names[id(record)], record, prices) for record in ranked])


def _row(name: str, record: Record, prices: Sequence[Price]) -> dict[str, Any]:
    load, main = load_of(record), load_of(record).main
    metrics = getattr(record.quality, "metrics", {})
    unit = "core" if record.case.device == "cpu" else "GPU"
    return {
        "recommender": name,
        "NDCG@10": metric_of(metrics, "NDCG@10"),
        "users/s within": _within(load),
        f"per {unit}": _per_unit(record),
        "window": milliseconds(main.window_ms / 1e3),
        "batch, at most": main.largest_batch,
        "batch, mean": NOT_AVAILABLE if main.mean_batch is None else number(main.mean_batch),
        "offered/s": NOT_AVAILABLE if main.rate is None else number(main.rate),
        **{f"{q}": _time(getattr(main.latency, field)) for q, field in _PERCENTILES.items()},
        "queue p50": _time(main.queue.p50_s),
        "service p50": _time(main.service.p50_s),
        "within the limit": NOT_AVAILABLE if main.within is None else share(main.within),
        "per million": money_within(record, prices),
        "J per 1,000 users": _joules(main),
        "what to know": "; ".join(_notes(load)) or NONE,
    }


_PERCENTILES = {"p50": "p50_s", "p95": "p95_s", "p99": "p99_s", "p99.9": "p999_s"}


def _time(seconds: float | None) -> Quantity | str:
    return NOT_AVAILABLE if seconds is None else milliseconds(seconds)


def _within(load: Load) -> Quantity | str:
    peak = load.peak
    if peak is None:
        return NOT_AVAILABLE
    if peak.rate is None:
        return Quantity(f"below {significant(peak.high)}", 0.0)
    return with_interval(peak.rate, peak.low, peak.high) if peak.rate else Quantity(NONE, 0.0)


def _units(record: Record) -> int:
    return load_of(record).workers * record.case.threads if record.case.device == "cpu" else 1


def users_a_second(record: Record) -> float | None:
    """Return what the service answers a second: within its limit where that was searched, else as it was asked."""
    load = load_of(record)
    return (load.peak.rate or None) if load.peak is not None else load.main.achieved


def _per_unit(record: Record) -> Quantity | str:
    rate = users_a_second(record)
    return NOT_AVAILABLE if rate is None else number(rate / _units(record))


def hours_within(record: Record) -> float | None:
    """Return how many hours of what a price buys a million users take at the highest rate; None where there is none."""
    rate = users_a_second(record)
    return None if rate is None else _units(record) / rate / HOUR_S * MILLION


def money_within(record: Record, prices: Sequence[Price]) -> Quantity | str:
    """Write what a million users cost at the highest rate."""
    price, spent = price_of(record, prices), hours_within(record)
    if price is None or spent is None:
        return NOT_AVAILABLE
    value = price.per_hour * spent
    return Quantity(f"{significant(value, 2)} USD", value)


def _joules(trial: Trial) -> Quantity | str:
    if trial.joules is None or not trial.answered:
        return NOT_AVAILABLE
    return number(trial.joules / trial.answered * 1000)


def _notes(load: Load) -> list[str]:
    return [note for note in ("" if load.peak is None else load.peak.why, load.main.invalid) if note]


def by_rate(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a service and offered rate."""
    labels = case_labels(records)
    return pd.DataFrame(
        [_trial(name, trial) for name, record in zip(labels, records, strict=True) for trial in load_of(record).trials]
    )


def _trial(name: str, trial: Trial) -> dict[str, Any]:
    def times(what: str, percentiles: Percentiles) -> dict[str, Any]:
        return {f"{what} p50": _time(percentiles.p50_s), f"{what} p99": _time(percentiles.p99_s)}

    return {
        "recommender": name,
        "offered/s": "all at once" if trial.rate is None else number(trial.rate),
        "answered/s": NOT_AVAILABLE if trial.achieved is None else number(trial.achieved),
        "goodput/s": NOT_AVAILABLE if trial.goodput is None else number(trial.goodput),
        "within the limit": NOT_AVAILABLE if trial.within is None else share(trial.within),
        **{q: _time(getattr(trial.latency, field)) for q, field in _PERCENTILES.items()},
        **times("queue", trial.queue),
        **times("service", trial.service),
        "batch, mean": NOT_AVAILABLE if trial.mean_batch is None else number(trial.mean_batch),
        "sent": trial.sent,
        "failed": trial.errors,
        "client late p99": _time(trial.late.p99_s),
        "client late max": _time(trial.late_max_s),
        "what to know": "; ".join(note for note in (trial.saturated, trial.invalid) if note) or NONE,
    }


def batchings(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a service, window and largest batch that its search tried: what was kept, and what was missed."""
    rows = []
    for name, record in zip(case_labels(records), records, strict=True):
        tried: dict[tuple[float, int], list[Trial]] = {}
        for trial in load_of(record).searched:
            tried.setdefault((trial.window_ms, trial.largest_batch), []).append(trial)
        for (window_ms, largest), trials in sorted(tried.items()):
            kept = [attempt.rate for attempt in trials if attempt.verdict is Verdict.MET and attempt.rate is not None]
            missed = [
                attempt.rate for attempt in trials if attempt.verdict is Verdict.MISSED and attempt.rate is not None
            ]
            rows.append(
                {
                    "recommender": name,
                    "window": milliseconds(window_ms / 1e3),
                    "batch, at most": str(largest),
                    "kept at most, users/s": number(max(kept)) if kept else NONE,
                    "missed at least, users/s": number(min(missed)) if missed else NONE,
                    "trials": str(len(trials)),
                }
            )
    return pd.DataFrame(rows)


def second_opinions(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a service that LoadGen asked, too."""
    rows = []
    for name, record in zip(case_labels(records), records, strict=True):
        loadgen = load_of(record).loadgen
        if loadgen is None:
            continue
        rows.append(
            {
                "recommender": name,
                "at, a second": NOT_AVAILABLE if loadgen.rate is None else number(loadgen.rate),
                "p99, ours": _time(loadgen.our_p99_s),
                "p99, LoadGen": _time(loadgen.p99_s),
                "highest rate, ours": _count(loadgen.our_peak),
                "highest rate, LoadGen": _count(loadgen.peak),
                "all at once, ours": _count(loadgen.our_offline),
                "all at once, LoadGen": _count(loadgen.offline),
                "why they differ": loadgen.why or AGREES,
            }
        )
    return pd.DataFrame(rows)


def cold_starts(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a service whose cold start was measured, in seconds, part by part."""
    rows = []
    for name, record in zip(case_labels(records), records, strict=True):
        cold = load_of(record).cold
        if isinstance(cold, str):
            parts = dict.fromkeys(("to the first answer", *_COLD), NOT_AVAILABLE)
            rows.append({"recommender": name, **parts, "what to know": cold})
        elif cold is not None:
            spans = {title: _seconds(getattr(cold, field)) for title, field in _COLD.items()}
            rows.append({"recommender": name, "to the first answer": _seconds(cold.seconds), **spans})
    return pd.DataFrame(rows).fillna(NONE)


_COLD = {
    "imports": "imports_s",
    "data": "data_s",
    "weights": "weights_s",
    "index": "index_s",
    "first answer": "first_answer_s",
    "next answer": "next_answer_s",
}


def _seconds(value: float | None) -> Quantity | str:
    return NOT_AVAILABLE if value is None else Quantity(f"{significant(value)} s", value)


def refreshed(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a service and share of new items: what taking a catalogue in takes, and what users notice."""
    return pd.DataFrame(
        [
            {
                "recommender": name,
                "new items": share(refresh.new),
                "takes": _seconds(refresh.seconds),
                "holds": NOT_AVAILABLE if refresh.bytes is None else mebibytes(refresh.bytes),
                "at, a second": number(refresh.rate),
                "p99 before": _time(refresh.p99_before_s),
                "p99 meanwhile": _time(refresh.p99_meanwhile_s),
                "what to know": refresh.why or NONE,
            }
            for name, record in zip(case_labels(records), records, strict=True)
            for refresh in load_of(record).refreshes
        ]
    )


def _count(value: float | None) -> Quantity | str:
    return NOT_AVAILABLE if value is None else number(value)


def _load(material: Material) -> Content:
    grouped = services(material.served)
    tables = []
    for name, group in grouped.items():
        tables += [Titled(name, at_the_limit(group, material.prices)), Titled(f"By rate: {name}", by_rate(group))]
        tables.append(Titled(f"Windows and batches that were tried: {name}", batchings(group)))
        tables.append(Titled(f"MLPerf's LoadGen at the same services: {name}", second_opinions(group)))
        tables.append(Titled(f"From a cold start: {name}", cold_starts(group)))
        tables.append(Titled(f"A new catalogue beside requests: {name}", refreshed(group)))
    return Content(tuple(tables), NOTE, tuple(served.drawings(grouped)))


LOAD = Chapter(
    "load",
    "Under load",
    _load,
    about=About.LOAD,
    asks="users a second that keep a limit, and what happens beyond",
    wide=True,
)
