"""One pytest session: which cases it has, and their records as they come."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import pytest
from rich.console import Console

from bench import cases, checkpoints, data
from bench.cases import Entry, Planned, Suite
from bench.measure import machine
from bench.options import choose_device, parse_settings, set_threads
from bench.results.record import Outcome, Record
from bench.runner import Options, Runner
from bench.speedups import Speedup, speedups
from bench.unfinished import Unfinished
from models import registry


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
        self._runners: dict[str, Runner] = {}
        self._groups: dict[str, tuple[str, list[Planned]]] = {}
        self._unfinished: list[Unfinished] = []
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
        suite = self._suite(cases.read_suite(option.suite))
        device = choose_device(option.device)
        threads = set_threads(option.threads or suite.threads or max(1, (os.cpu_count() or 2) - 1))
        chosen: dict[str, Any] = parse_settings(option.set)
        chosen |= {key: value for key in ("preset", "seed") if (value := getattr(option, key)) is not None}
        for source in dict.fromkeys(name for _, piece in suite.pieces() for name in piece.datasets):
            sizes = suite.synthetic if source == "synthetic" else {}
            dataset = data.load(
                source, data_dir=option.data_dir, min_count=option.min_count, max_history=option.max_history, **sizes
            )
            options = Options(
                suite_name=option.suite,
                suite=suite,
                device=device,
                timeout_s=option.case_timeout,
                quality_users=option.quality_users,
                command=shlex.join(["pytest", *sys.argv[1:]]),
            )
            what = [
                suite.model_dump(mode="json"),
                str(device),
                option.case_timeout,
                option.quality_users,
                threads,
                chosen,
            ]
            unfinished = Unfinished([*what, option.untrained, machine.code_identity(), dataset.source])
            self._unfinished.append(unfinished)
            self._runners[dataset.name] = Runner(options, dataset, unfinished, self._progress)
            groups = cases.expand(
                suite,
                dataset.name,
                source=source,
                loaded_with=dataset.source.unusual,
                device=device,
                threads=threads,
                chosen=chosen,
                untrained=option.untrained,
            )
            self._groups |= {planned.case.name: (dataset.name, group) for group in groups for planned in group}

    def _suite(self, suite: Suite) -> Suite:
        """Put in what the command line names."""
        option = self._config.option
        entries = [Entry(name=name) for name in option.recommender or []]
        entries += [_entry_of(folder) for folder in option.checkpoint or []]
        suite = cases.changed(suite, recommenders=[entry.model_dump() for entry in entries] or None)
        if option.decoder:
            parts = [
                part.model_copy(update={"recommenders": _with_decoders(part.recommenders, option.decoder) or None})
                for part in suite.parts
            ]
            entries = _with_decoders(suite.recommenders, option.decoder)
            suite = suite.model_copy(update={"recommenders": entries, "parts": parts})
        return cases.changed(
            suite,
            datasets=option.dataset,
            batch_sizes=option.batch_size,
            k=option.top_k,
            beam_widths=option.beam_width,
            scores=option.scores,
            dtypes=option.dtype,
            seen=option.seen,
            train_minutes=option.train_minutes,
            case_seconds=option.case_seconds,
            min_rounds=option.min_rounds,
        )

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
            self.records |= {record.case.name: record for record in self._runners[dataset].measure(wanted)}
        return self.records[name]

    def speedups(self) -> list[Speedup]:
        """Compare the decoders of a suite in parts with the reference that was timed beside them."""
        groups = {id(group): group for _, group in self._groups.values()}
        return [found for group in groups.values() for found in speedups(group, self.records)]

    def finish(self) -> None:
        """Forget what was kept in case of an interruption."""
        for unfinished in self._unfinished:
            unfinished.finish()


def _entry_of(folder: Any) -> Entry:
    card = checkpoints.read_card(folder)
    settings = registry.load(card.recommender).settings_type(**card.settings)
    changed = {"preset": settings.preset} | settings.model_dump(mode="json", exclude_defaults=True)
    return Entry(name=card.recommender, settings=changed, checkpoint=folder)


def _with_decoders(entries: list[Entry] | None, decoders: list[str]) -> list[Entry]:
    """Ask the generative ones for decoders; one-pass recommenders have none."""
    return [
        entry.model_copy(update={"decoders": decoders}) if registry.load(entry.name).decoders else entry
        for entry in entries or []
    ]
