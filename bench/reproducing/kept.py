"""Results of earlier runs, perhaps on another computer, that need not be made again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.data.dataset import Dataset
from bench.ground.textfiles import either, read_text
from bench.records import store
from bench.records.record import Provenance, Record
from bench.records.studies import BeamStudy, Evaluation, LeakProbe, Studies
from bench.training.recipes import Recipe
from models.recommender import Settings

RUN, STUDIES = "run.json.gz", "studies.json.gz"

_PARTS = ("benchmarks", store.FAILED)


@dataclass(frozen=True)
class Kept:
    """What a folder of results holds.

    Attributes:
        studies: Content of its file of studies.
        run: Its results file as it stands; empty where nothing was timed.
        records: The records of that.

    """

    studies: Studies = field(default_factory=Studies)
    run: dict[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    def timed(self, dataset: Dataset) -> bool:
        """Tell whether anything was timed on a dataset."""
        return any(_same(record.provenance, dataset) for record in self.records)

    def evaluation(self, recommender: str, settings: Settings, recipe: Recipe, dataset: Dataset) -> Evaluation | None:
        """Return the evaluation of weights of just these settings, trained by just this recipe on just this dataset."""
        alike = (study for study in self.studies.evaluations if _of(study, recommender, settings, recipe, dataset))
        return next(alike, None)

    def beams(self, recommender: str, settings: Settings, recipe: Recipe, dataset: Dataset) -> BeamStudy | None:
        """Return the study of the beams of such weights."""
        return next((study for study in self.studies.beams if _of(study, recommender, settings, recipe, dataset)), None)

    def leaks(self, dataset: Dataset) -> list[LeakProbe]:
        """Return the probes of a dataset's numberings."""
        return [study for study in self.studies.leaks if _same(study.provenance, dataset)]

    def without_times(self, dataset: Dataset) -> Kept:
        """Return the same without what was timed on a dataset: its weights are no longer all the same."""

        def others(part: str) -> list[Any]:
            entries = self.run.get(part, [])
            sources = [entry.get("extra_info", entry)["provenance"]["dataset"] for entry in entries]
            return [entry for entry, source in zip(entries, sources, strict=True) if not _loaded_as(source, dataset)]

        run = self.run | {part: others(part) for part in _PARTS if part in self.run}
        return replace(
            self,
            run=run if any(run.get(part) for part in _PARTS) else {},
            records=tuple(record for record in self.records if not _same(record.provenance, dataset)),
        )

    def with_run(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a results file that holds the kept records, and then those of another results file."""
        if not self.run:
            return content
        return content | {part: [*self.run.get(part, []), *content.get(part, [])] for part in _PARTS}


def read_kept(folder: Path | None) -> Kept:
    """Read a folder of results; None holds nothing.

    Raises:
        UserError: A file is missing or damaged.

    """
    if folder is None:
        return Kept()
    studies = store.read_studies(either(folder / STUDIES)).studies
    run = either(folder / RUN)
    if not run.exists():
        return Kept(studies)
    return Kept(studies, json.loads(read_text(run)), store.read(run).records)


def _of(study: Evaluation | BeamStudy, recommender: str, settings: Settings, recipe: Recipe, dataset: Dataset) -> bool:
    named = study.case.recommender == recommender and study.weights.settings == settings.model_dump(mode="json")
    return named and _trained_by(study.weights.recipe, recipe) and _same(study.provenance, dataset)


def _trained_by(written: dict[str, Any], recipe: Recipe) -> bool:
    """Tell whether a record's recipe is this one; older records, and those of what is not trained, name none."""
    try:
        return not written or Recipe(**written) == recipe
    except ValidationError:  # it names what recipes no longer have
        return False


def _same(source: Provenance, dataset: Dataset) -> bool:
    """Tell whether figures are of a dataset: its files, loaded with the same options."""
    return _loaded_as(source.dataset, dataset)


def _loaded_as(written: dict[str, Any], dataset: Dataset) -> bool:
    wanted = dataset.source.options | {"checksum": dataset.source.checksum}
    return all(written.get(name) == value for name, value in wanted.items())
