"""What stands between the runner and pytest-benchmark: replayed samples, and rows for what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.table import Table

from bench.results.record import Flops, Outcome, Quality, Record
from bench.speedups import Speedup, speedup_table, where_time_goes

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


class Replay:
    """A timer that gives samples back: successive calls differ by 0, x1, 0, x2, ...

    Cases are timed in interleaved turns, which pytest-benchmark cannot do; with this timer and one
    round a sample its statistics are those of the samples.
    """

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._now = 0.0

    def load(self, samples_s: Sequence[float]) -> None:
        """Take the samples that are to be given back."""
        self._steps = [step for sample in samples_s for step in (0.0, sample)]

    def __call__(self) -> float:
        """Return the time of a clock that only the samples move."""
        if self._steps:
            self._now += self._steps.pop(0)
        return self._now


@dataclass(frozen=True)
class Measured:
    """The record of a case, and the timer of its benchmark."""

    record: Record
    replay: Replay

    def hand_to(self, benchmark: BenchmarkFixture) -> None:
        """Make the record one benchmark; a case that failed ends its test and is kept as a row."""
        record = self.record
        if record.outcome is not Outcome.OK or record.latency is None:
            message = f"{record.case.name}: {record.outcome}: {record.detail}"
            if record.outcome in (Outcome.ERROR, Outcome.CRASHED):
                pytest.fail(message, pytrace=False)
            pytest.xfail(message)
        self.replay.load(record.latency.samples_s)
        benchmark.extra_info.update(record.model_dump(mode="json"))
        benchmark.pedantic(_nothing, rounds=record.latency.rounds)


def save_without_benchmarks(config: pytest.Config) -> None:
    """Save a run of which no case could be measured, for which pytest-benchmark would write nothing."""
    session = config._benchmarksession  # type: ignore[attr-defined]  # noqa: SLF001 - where the plugin keeps it
    facts = {"machine_info": session.get_machine_info(), "commit_info": {}}
    hook = config.hook
    output = hook.pytest_benchmark_generate_json(config=config, benchmarks=[], include_data=True, **facts)
    hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=output)
    session.storage.save(output, session.save or session.autosave)


def print_summary(
    reporter: pytest.TerminalReporter, records: Sequence[Record], speedups: Sequence[Speedup] = ()
) -> None:
    """Print a line a case, quality beside cost; then the decoders beside their reference."""
    table = Table(title="quality and cost of the same weights", title_justify="left", box=None)
    for name in ("case", "NDCG@10", "p50 ms", "users/s", "MFLOP/user", "outcome"):
        table.add_column(name, justify="left" if name in ("case", "outcome") else "right", overflow="fold")
    for record in records:
        table.add_row(*_row(record))
    console = Console(width=max(132, reporter._tw.fullwidth), no_color=True)  # noqa: SLF001 - its public width is of the past
    with console.capture() as capture:
        console.print(table)
        if speedups:
            console.print()
            console.print(speedup_table(speedups))
            if (explained := where_time_goes(speedups)) is not None:
                console.print()
                console.print(explained)
    reporter.write_line("")
    reporter.write(capture.get())
    for line in _unreachable(records):
        reporter.write_line(line)
    reporter.write_line("python -m bench.report renders these results")


def _row(record: Record) -> list[str]:
    quality, latency, flops = record.quality, record.latency, record.flops
    ndcg = quality.metrics.get("NDCG@10") if isinstance(quality, Quality) else None
    return [
        record.case.name,
        "n/a" if ndcg is None else f"{ndcg.value:.4f}",
        "n/a" if latency is None else f"{latency.p50_s * 1e3:.3g}",
        "n/a" if latency is None else f"{latency.users_per_second:.3g}",
        f"{flops.per_user / 1e6:.4g}" if isinstance(flops, Flops) else "n/a",
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


def _nothing() -> None:
    """Do nothing: the time was taken before."""
