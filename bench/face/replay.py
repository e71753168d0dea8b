"""What stands between the runner and pytest-benchmark: replayed samples, and rows for what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bench.records.case import Outcome
from bench.records.record import Record

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


def _nothing() -> None:
    """Do nothing: the time was taken before."""
