"""One pytest session: which cases it has, and their records as they come."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import pytest
from rich.console import Console

from bench.cli.loading import Loading, option_name
from bench.cli.offering import offered_of
from bench.cli.options import parse_settings
from bench.face.attained import Attained, attained
from bench.face.speedups import Speedup, speedups
from bench.ground.bounds import (
    BatchSize,
    BeamWidth,
    ListLength,
    Mebibytes,
    Minutes,
    Percentile,
    Rounds,
    Seconds,
    Seed,
    Threads,
    Users,
    checked,
)
from bench.measure import machine
from bench.records.case import Outcome
from bench.records.record import Record
from bench.running.guard import Guard, available_bytes
from bench.running.runner import RunOptions
from bench.suites.cases import Planned
from bench.suites.planning import Job, lay_out


class Session:
    """The cases that the command line asks for, and the runners that measure them.

    Args:
        config: pytest's, with our options.

    Attributes:
        records: By the cases' names, as far as measured.

    Raises:
        UserError: An option, a suite, a dataset or a checkpoint is not as it must be.

    """

    def __init__(self, config: pytest.Config) -> None:
        self.records: dict[str, Record] = {}
        self._config = config
        self._console = Console(stderr=True)
        self._guards: dict[str, Guard] = {}
        self._groups: dict[str, tuple[str, list[Planned]]] = {}
        self._plan()

    @property
    def names(self) -> list[str]:
        """Names of all cases, in the order of measuring."""
        return list(self._groups)

    @property
    def failed(self) -> list[Record]:
        """Records of the cases that have no numbers."""
        return [record for record in self.records.values() if record.outcome is not Outcome.OK]

    def group_name(self, name: str) -> str:
        """Return the heading under which a case is compared with those timed beside it."""
        case = next(planned.case for planned in self._groups[name][1] if planned.case.name == name)
        return f"{case.dataset}, {case.device}, {case.dtype}, batch {case.batch_size}, top {case.k}"

    def _plan(self) -> None:
        """Load the datasets and expand the suite."""
        option = self._config.option
        read_numbers(option)
        job = job_of(option)
        layout = lay_out(job)
        self._bound_goals = layout.suite.bound_goals.get("cuda" if layout.device.type == "cuda" else "cpu", {})
        for piece in layout.pieces:
            dataset = piece.dataset
            options = RunOptions(
                job=job.model_copy(update={"sources": [piece.source]}),
                suite=layout.suite,
                device=layout.device,
                timeout_s=option.case_timeout,
                memory_bytes=_bytes(option.case_memory),
                quality_users=option.quality_users,
                command=shlex.join(["pytest", *sys.argv[1:]]),
            )
            what = [layout.suite.model_dump(mode="json"), str(layout.device), option.case_timeout, option.quality_users]
            what += [layout.threads, job.chosen, job.untrained, machine.code_identity(), dataset.source]
            what += [machine.sources({planned.case.recommender for group in piece.groups for planned in group})]
            guard = Guard(options, dataset, what, self._progress, in_process=option.in_process)
            if option.retry_failed:
                guard.unfinished.forget_failures()
            self._guards[dataset.name] = guard
            self._groups |= {planned.case.name: (dataset.name, group) for group in piece.groups for planned in group}

    def _progress(self, message: str) -> None:
        """Show what goes on, past pytest's capture."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            self._console.print(message, soft_wrap=True, highlight=False, markup=False)

    def record(self, name: str, selected: set[str]) -> Record:
        """Return a case's record; the selected cases of its group are measured together if need be."""
        if name not in self.records:
            dataset, group = self._groups[name]
            wanted = [planned for planned in group if planned.case.name in selected]
            self.records |= {record.case.name: record for record in self._guards[dataset].measure(wanted)}
        return self.records[name]

    def speedups(self) -> list[Speedup]:
        """Compare the decoders of a suite in parts with the reference that was timed beside them."""
        groups = {id(group): group for _, group in self._groups.values()}
        return [speedup for group in groups.values() for speedup in speedups(group, self.records)]

    def attained(self) -> list[Attained]:
        """Hold the strongest of each side against the machine's bound, where the suite has goals."""
        return attained(list(self.records.values()), self._bound_goals)

    def close(self) -> None:
        """End the processes that measure."""
        for guard in self._guards.values():
            guard.close()

    def finish(self) -> None:
        """Forget what was kept in case of an interruption."""
        for guard in self._guards.values():
            guard.unfinished.finish()


def loading_of(option: Any) -> Loading:
    """Read from pytest's options how data is loaded.

    Raises:
        UserError: One is not as it must be.

    """
    return Loading.from_words({name: getattr(option, name) for name in Loading.model_fields})


def _bytes(mebibytes: int | None) -> int | None:
    return available_bytes() if mebibytes is None else mebibytes * 2**20


NUMBERS: dict[str, Any] = {
    "batch_size": BatchSize, "top_k": ListLength, "beam_width": BeamWidth, "seed": Seed, "threads": Threads,
    "case_timeout": Seconds, "case_memory": Mebibytes, "case_seconds": Seconds, "min_rounds": Rounds,
    "quality_users": Users, "train_minutes": Minutes, "percentile": Percentile,
}  # fmt: skip
"""Kinds of the options that are numbers, by their names."""


def read_numbers(option: Any) -> None:
    """Turn those of pytest's options that are numbers from words into numbers, in place.

    Raises:
        UserError: One is no number, or out of bounds.

    """
    for name, kind in NUMBERS.items():
        word = getattr(option, name)
        several = isinstance(word, list)
        numbers = [
            checked(option_name(name), kind, value) for value in (word if several else [word]) if value is not None
        ]
        if numbers:
            setattr(option, name, numbers if several else numbers[0])


def job_of(option: Any) -> Job:
    """Read pytest's options as a job.

    Raises:
        UserError: A setting is not written as one.

    """
    chosen: dict[str, Any] = parse_settings(option.set)
    chosen |= {key: value for key in ("preset", "seed") if (value := getattr(option, key)) is not None}
    changes = {
        "datasets": option.dataset,
        "batch_sizes": option.batch_size,
        "k": option.top_k,
        "beam_widths": option.beam_width,
        "scores": option.scores,
        "dtypes": option.dtype,
        "seen": option.seen,
        "train_minutes": option.train_minutes,
        "case_seconds": option.case_seconds,
        "min_rounds": option.min_rounds,
        "percentile": option.percentile,
        "flush_cache": option.flush_cache,
        "scenario": option.scenario,
        "load": offered_of(vars(option)) or None,
        "compiled": option.compiled,
    }
    return Job(
        suite=option.suite,
        recommenders=option.recommender or [],
        checkpoints=option.checkpoint or [],
        decoders=option.decoder or [],
        rankers=option.ranker or [],
        changes=changes,
        loading=loading_of(option),
        device=option.device,
        threads=option.threads,
        chosen=chosen,
        untrained=option.untrained,
    )
