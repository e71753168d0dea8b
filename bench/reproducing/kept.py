"""Results of earlier runs, perhaps on another computer, that need not be made again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset
from bench.results import store
from bench.results.record import Provenance, Record
from bench.results.studies import BeamStudy, Evaluation, LeakProbe, Studies
from models.recommender import Settings

RUN, STUDIES = "run.json", "studies.json"


@dataclass(frozen=True)
class Kept:
    """What a folder of results holds.

    Attributes:
        studies: Of its ``studies.json``.
        run: Its ``run.json`` as it stands; empty where nothing was timed.
        records: The records of that.

    """

    studies: Studies = field(default_factory=Studies)
    run: dict[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    def timed(self, dataset: Dataset) -> bool:
        """Tell whether anything was timed on a dataset."""
        return any(_same(record.provenance, dataset) for record in self.records)

    def evaluation(self, recommender: str, settings: Settings, dataset: Dataset) -> Evaluation | None:
        """Return the evaluation of weights that were built with just these settings on just this dataset."""
        alike = (one for one in self.studies.evaluations if _of(one, recommender, settings, dataset))
        return next(alike, None)

    def beams(self, recommender: str, settings: Settings, dataset: Dataset) -> BeamStudy | None:
        """Return the study of the beams of such weights."""
        return next((one for one in self.studies.beams if _of(one, recommender, settings, dataset)), None)

    def leaks(self, dataset: Dataset) -> list[LeakProbe]:
        """Return the probes of a dataset's numberings."""
        return [one for one in self.studies.leaks if _same(one.provenance, dataset)]

    def with_run(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a results file that holds the kept records, and then those of another results file."""
        if not self.run:
            return content
        parts = ("benchmarks", store.FAILED)
        return content | {part: [*self.run.get(part, []), *content.get(part, [])] for part in parts}


def read_kept(folder: Path | None) -> Kept:
    """Read a folder of results; None holds nothing.

    Raises:
        UserError: A file is missing or damaged.

    """
    if folder is None:
        return Kept()
    studies = store.read_studies(folder / STUDIES).studies
    if not (folder / RUN).exists():
        return Kept(studies)
    found = store.read(folder / RUN)
    return Kept(studies, json.loads((folder / RUN).read_text()), found.records)


def _of(one: Evaluation | BeamStudy, recommender: str, settings: Settings, dataset: Dataset) -> bool:
    named = one.case.recommender == recommender and one.weights.settings == settings.model_dump(mode="json")
    return named and _same(one.provenance, dataset)


def _same(source: Provenance, dataset: Dataset) -> bool:
    """Tell whether figures are of a dataset: its files, loaded with the same options."""
    wanted = dataset.source.options | {"checksum": dataset.source.checksum}
    return all(source.dataset.get(name) == value for name, value in wanted.items())
