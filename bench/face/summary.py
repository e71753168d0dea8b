"""What a run prints at its end: a line a case, quality beside cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rich.console import Console
from rich.table import Table

from bench.face.attained import Attained, attained_table, profile_of_missed
from bench.face.loads import load_table
from bench.face.speedups import Speedup, speedup_table, where_time_goes
from bench.records.cost import Flops
from bench.records.quality import Quality
from bench.records.record import Record


def print_summary(
    reporter: pytest.TerminalReporter,
    records: Sequence[Record],
    speedups: Sequence[Speedup] = (),
    near: Sequence[Attained] = (),
) -> None:
    """Print a line a case, quality beside cost; then services under load, decoders beside their reference, goals."""
    table = Table(title="quality and cost of the same weights", title_justify="left", box=None)
    for name in ("case", "NDCG@10", "p50 ms", "users/s", "GFLOP/user", "outcome"):
        table.add_column(name, justify="left" if name in ("case", "outcome") else "right", overflow="fold")
    loaded = [record for record in records if record.case.load is not None]
    for record in records:
        if record.case.load is None:
            table.add_row(*_row(record))
    console = Console(width=max(132, reporter._tw.fullwidth), no_color=True)  # noqa: SLF001 - its public width is of the past
    with console.capture() as capture:
        for number, block in enumerate(filter(None, _tables(table, loaded, speedups, near))):
            console.print(*[""] * (number > 0), block, sep="\n")
    reporter.write_line("")
    reporter.write(capture.get())
    for line in _unreachable(records):
        reporter.write_line(line)


def _tables(
    cases: Table, loaded: Sequence[Record], speedups: Sequence[Speedup], near: Sequence[Attained]
) -> list[Table | None]:
    """Return all that has something to tell."""
    return [
        cases if cases.row_count else None,
        load_table(loaded) if loaded else None,
        speedup_table(speedups) if speedups else None,
        where_time_goes(speedups),
        attained_table(near) if near else None,
        profile_of_missed(near),
    ]


def _row(record: Record) -> list[str]:
    quality, latency, flops = record.quality, record.latency, record.flops
    ndcg = quality.metrics.get("NDCG@10") if isinstance(quality, Quality) else None
    return [
        record.case.name,
        "n/a" if ndcg is None else f"{ndcg.value:.4f}",
        "n/a" if latency is None else f"{latency.p50_s * 1e3:.3g}",
        "n/a" if latency is None else f"{latency.users_per_second:.3g}",
        f"{flops.per_user / 1e9:.4g}" if isinstance(flops, Flops) else "n/a",
        record.outcome.value if not record.detail else f"{record.outcome.value}: {record.detail}",
    ]


def _unreachable(records: Sequence[Record]) -> list[str]:
    """Say of each dataset which targets no recommender can find."""
    counts = {
        record.case.dataset_variant: (record.quality.unreachable, record.quality.users)
        for record in records
        if isinstance(record.quality, Quality) and record.quality.unreachable
    }
    return [
        f"{name}: {lost:,} of {users:,} targets are in the user's own history, which is removed from the lists: no "
        "recommender can find them"
        for name, (lost, users) in counts.items()
    ]
