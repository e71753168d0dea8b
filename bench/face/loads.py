"""What a run under load prints at its end: a line a service."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.records.load import Load, Trial
from bench.records.quality import Quality
from bench.records.record import Record


def load_table(records: Sequence[Record]) -> Table:
    """Return a line a service: the highest rate that keeps its objective, or what it did at the rate it was given."""
    table = Table(title="under load, latency from the scheduled arrival", title_justify="left", box=None)
    left = ("case", "what to know")
    for name in ("case", "NDCG@10", "users/s within", "window ms", "batch", "offered/s", "answered/s", "p50 ms",
                 "p99 ms", "within", "what to know"):  # fmt: skip
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    for record in records:
        table.add_row(*_row(record))
    return table


def _row(record: Record) -> list[str]:
    quality = record.quality
    ndcg = quality.metrics.get("NDCG@10") if isinstance(quality, Quality) else None
    first = [f"{record.case.variant}, {record.case.dataset_variant}", "n/a" if ndcg is None else f"{ndcg.value:.4f}"]
    if record.load is None:
        return [*first, *["n/a"] * 8, f"{record.outcome.value}: {record.detail}"]
    main = record.load.main
    times = [main.latency.p50_s, main.latency.p99_s]
    return [
        *first,
        _peak(record.load),
        f"{main.window_ms:g}",
        str(main.largest_batch),
        "at once" if main.rate is None else f"{main.rate:.3g}",
        "n/a" if main.achieved is None else f"{main.achieved:.3g}",
        *("n/a" if seconds is None else f"{seconds * 1e3:.3g}" for seconds in times),
        "n/a" if main.within is None else f"{main.within:.1%}",
        "; ".join(_notes(record.load, main)),
    ]


def _peak(load: Load) -> str:
    peak = load.peak
    if peak is None:
        return "n/a"
    if peak.rate is None:
        return f"below {peak.high:.3g}"
    return f"{peak.rate:.3g} [{peak.low:.3g}, {peak.high:.3g}]" if peak.rate else "none"


def _notes(load: Load, main: Trial) -> list[str]:
    notes = [load.peak.why if load.peak is not None else "", main.saturated, main.invalid]
    if load.loadgen is not None:
        apart = load.loadgen.disagreement
        notes.append("LoadGen: " + (load.loadgen.why or ("n/a" if apart is None else f"within {apart:.1%} of ours")))
    return [note for note in notes if note]
