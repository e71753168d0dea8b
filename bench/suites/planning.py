"""From what a command line asks for to datasets and groups of cases."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from bench.cli.loading import Loading
from bench.cli.options import choose_device, set_threads
from bench.data.dataset import Dataset
from bench.suites import cases, definitions
from bench.suites.cases import Planned
from bench.suites.definitions import Entry, Suite
from bench.training import checkpoints
from models import registry


class Job(BaseModel):
    """What is asked for: a suite, and what differs from it. It crosses to other processes as JSON.

    Attributes:
        suite: Name, or path of a TOML file.
        recommenders: Measured instead of the suite's.
        checkpoints: Trained weights, measured instead of the suite's recommenders.
        decoders: Decoders of generative recommenders, instead of the suite's.
        rankers: Rankers of recommenders that rank by inner product, instead of the suite's.
        changes: Fields of `Suite` to put in; None leaves one as it is.
        loading: How the datasets are loaded.
        device: As torch calls it; None takes a GPU if there is one.
        threads: CPU threads; None takes the suite's, else one fewer than the cores.
        chosen: Settings for every recommender that has them.
        untrained: Whether weights are random, which measures cost alone.
        sources: Datasets of the suite to take; none named means all.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    recommenders: list[str] = []
    checkpoints: list[Path] = []
    decoders: list[str] = []
    rankers: list[str] = []
    changes: dict[str, Any] = {}
    loading: Loading = Loading()
    device: str | None = None
    threads: int | None = None
    chosen: dict[str, Any] = {}
    untrained: bool = False
    sources: list[str] = []


@dataclass(frozen=True)
class Piece:
    """What is measured on one dataset.

    Attributes:
        source: What the suite calls the dataset.
        dataset: The loaded dataset.
        groups: Groups of cases that are measured side by side.

    """

    source: str
    dataset: Dataset
    groups: list[list[Planned]]


@dataclass(frozen=True)
class JobLayout:
    """What a job comes to.

    Attributes:
        suite: The suite, changed as asked.
        device: Where all cases run.
        threads: CPU threads, which torch is now set to.
        pieces: By dataset.

    """

    suite: Suite
    device: torch.device
    threads: int
    pieces: list[Piece]


def lay_out(job: Job) -> JobLayout:
    """Read the suite, choose the device, load the datasets, list the cases.

    Raises:
        UserError: An option, a suite, a dataset or a checkpoint is not as it must be.

    """
    suite = _changed(job, definitions.read_suite(job.suite))
    device = choose_device(job.device)
    threads = set_threads(job.threads or suite.threads or max(1, (os.cpu_count() or 2) - 1))
    pieces = []
    for source in dict.fromkeys(name for _, piece in suite.pieces() for name in piece.datasets):
        if job.sources and source not in job.sources:
            continue
        sizes = suite.synthetic if source == "synthetic" else {}
        dataset = job.loading.load(source, **sizes)
        groups = cases.expand(
            suite,
            dataset.name,
            source=source,
            loaded_with=dataset.source.unusual,
            device=device,
            threads=threads,
            chosen=job.chosen,
            untrained=job.untrained,
        )
        pieces.append(Piece(source, dataset, groups))
    return JobLayout(suite, device, threads, pieces)


def _changed(job: Job, suite: Suite) -> Suite:
    """Put in what the command line names."""
    entries = [Entry(name=name) for name in job.recommenders]
    entries += [_entry_of(folder) for folder in job.checkpoints]
    suite = definitions.changed(suite, recommenders=[entry.model_dump() for entry in entries] or None)
    if job.decoders or job.rankers:
        parts = [
            part.model_copy(update={"recommenders": _served(part.recommenders, job) or None}) for part in suite.parts
        ]
        suite = suite.model_copy(update={"recommenders": _served(suite.recommenders, job), "parts": parts})
    return definitions.changed(suite, **job.changes)


def _entry_of(folder: Path) -> Entry:
    card = checkpoints.read_card(folder)
    settings = checkpoints.settings_of(card, folder)
    changed = {"preset": settings.preset} | settings.model_dump(mode="json", exclude_defaults=True)
    return Entry(name=card.recommender, settings=changed, checkpoint=folder)


def _served(entries: list[Entry] | None, job: Job) -> list[Entry]:
    """Ask those that have decoders for the named ones, and those that have rankers for the named ones."""
    return [entry.model_copy(update=_ways(entry, job)) for entry in entries or []]


def _ways(entry: Entry, job: Job) -> dict[str, list[str]]:
    kind = registry.load(entry.name)
    named = {"decoders": job.decoders if kind.decoders else [], "rankers": job.rankers if kind.rankers else []}
    return {field: names for field, names in named.items() if names}
