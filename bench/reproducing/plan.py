"""What a suite comes to: which weights are trained, what is evaluated, what is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from bench.cli.loading import Loading
from bench.data.dataset import Dataset
from bench.ground.home import home
from bench.records.case import Case
from bench.records.studies import Ablation, Studies
from bench.reproducing.kept import Kept
from bench.suites import cases, definitions
from bench.suites.definitions import Entry, Part, Suite
from bench.training import checkpoints
from bench.training.recipes import Recipe, resolve
from models import registry
from models.backbones import PRESETS, is_preset
from models.errors import UserError
from models.identified import NumbersItems
from models.recommender import Settings
from models.trainable import TrainableRecommender

DECODER = "exact"
"""Ranks all users of generative recommenders where the suite names none: the fastest that makes the papers' lists."""


@dataclass(frozen=True)
class Work:
    """One set of weights of a suite, on one dataset.

    Attributes:
        entry: Entry of the suite.
        dataset: What it is trained on.
        chosen: Settings that are named, preset and seed included.
        settings: All of them.
        folder: The checkpoint.
        results: Where the evaluation goes.
        beams: Where the study of its beams goes; None without one.
        recipe: How it is trained.

    """

    entry: Entry
    dataset: Dataset
    chosen: dict[str, Any]
    settings: Settings
    folder: Path
    results: Path
    beams: Path | None
    recipe: Recipe

    @property
    def name(self) -> str:
        """What messages call it."""
        named = [f"{key} {value}" for key, value in self.chosen.items() if key != "preset"]
        return f"{self.entry.name} on {self.dataset.name} ({', '.join(named)})"

    @property
    def is_first(self) -> bool:
        """Whether these are the weights of their entry that are timed, and whose beams are studied."""
        return bool(self.chosen["seed"] == self.entry.seeds[0])

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return issubclass(registry.load(self.entry.name), TrainableRecommender)

    @property
    def trained(self) -> bool:
        """Whether the weights are there, made by just this recipe in as many minutes or more, or in all it needs."""
        if not self.trains:
            return True
        try:
            card = checkpoints.read_card(self.folder)
        except UserError:
            return False
        took, least = card.training.get("seconds"), self.recipe.max_minutes
        in_time = isinstance(took, (int, float)) and took < 60 * card.recipe.max_minutes
        if card.recipe.max_minutes < least and not in_time:
            return False
        return card.recipe.model_copy(update={"max_minutes": least}) == self.recipe

    def studies(self, path: Path) -> Studies | None:
        """Return what is kept of these weights at `path`; None where it is missing, damaged or of other weights."""
        studies = read_part(path)
        if studies is None or not self.trained:
            return None
        digest = checkpoints.weights_digest(self.folder) if self.trains else None
        made_with = {study.weights.sha256 for study in studies.evaluations} | {
            study.weights.sha256 for study in studies.beams
        }
        return studies if made_with == {digest} else None


@dataclass(frozen=True)
class Plan:
    """A suite at one size.

    Attributes:
        name: Name of the suite.
        suite: The suite itself.
        size: Preset of all recommenders.
        folder: Where parts of the results are kept.
        work: First all first seeds, so that a run that is cut short has something of everything.
        datasets: By what the suite calls them.
        kept: Results of earlier runs that are not made again, times of whole datasets only.
        decoder: Ranks all users of the recommenders that have it.

    """

    name: str
    suite: Suite
    size: str
    folder: Path
    work: list[Work]
    datasets: dict[str, Dataset]
    kept: Kept
    decoder: str = DECODER

    def decoder_of(self, work: Work) -> str | None:
        """Return what ranks all users of a recommender: where it does not have the plan's decoder, its first one."""
        own = registry.load(work.entry.name).decoders
        if not own:
            return None
        return self.decoder if self.decoder in own else next(iter(work.entry.decoders or own))

    def leaks(self, dataset: Dataset) -> Path:
        """Return where the probes of a dataset's numberings go; a dataset loaded otherwise has another place."""
        return self.folder / "leaks" / f"{checkpoints.data_folder(dataset)}.json"

    @property
    def numbering(self) -> str | None:
        """A recommender of the suite that numbers items; None where none does."""
        names = (work.entry.name for work in self.work)
        return next((name for name in names if isinstance(registry.load(name), NumbersItems)), None)

    def is_kept(self, work: Work) -> bool:
        """Tell whether all that a set of weights is for was done before: evaluated, its beams studied, timed."""
        timed = not work.is_first or self.kept.timed(work.dataset)
        return timed and _holds(self.kept, work)

    def done(self, work: Work) -> bool:
        """Tell whether a set of weights is evaluated, now or before."""
        return work.studies(work.results) is not None or self.is_kept(work)

    def timed(self, *, whole: bool = False) -> Suite | None:
        """Return the suite of what is to be timed: the first seeds that are trained, in one group a batch size.

        Datasets on which something was timed before are left out; None where nothing is left.

        Args:
            whole: Whether to take what is not trained yet, too.

        """
        parts = []
        for source, dataset in self.datasets.items():
            if self.kept.timed(dataset):
                continue
            entries: dict[str, Entry] = {}
            for work in self.work:
                if work.dataset is dataset and work.is_first and (whole or work.trained):
                    checkpoint = work.folder if work.trains else None
                    entries[str(work.folder)] = work.entry.model_copy(
                        update={"settings": work.chosen, "checkpoint": checkpoint}
                    )
            if entries:
                parts.append(Part(title="", datasets=[source], recommenders=list(entries.values())))
        if not parts:
            return None
        sources = [name for part in parts for name in part.datasets or ()]
        return self.suite.model_copy(update={"parts": parts, "recommenders": [], "datasets": sources})

    def gathered(self) -> Studies:
        """Put together all studies that are there."""
        studies = Studies(ablations=self._ablations())
        for work in self.work:
            paths = [path for path in (work.results, work.beams) if path is not None]
            made = [part for path in paths if (part := work.studies(path)) is not None]
            for part in made or [_studies_of(self.kept, work)]:
                studies = studies.joined(part)
        for dataset in self.datasets.values():
            part = read_part(self.leaks(dataset))
            studies = studies.joined(Studies(leaks=self.kept.leaks(dataset)) if part is None else part)
        return studies

    def _ablations(self) -> list[Ablation]:
        if not self.suite.ablation:
            return []
        ablations = []
        for source, dataset in self.datasets.items():
            for part, piece in self.suite.pieces():
                here = [work for entry in piece.recommenders for work in self._of(entry, source)]
                names = [self._variant(work) for work in here]
                if len(names) < 2:  # noqa: PLR2004 - with --only, a part may have nothing to compare
                    continue
                base, *others = names
                weights = {
                    self._variant(work): checkpoints.weights_digest(work.folder) for work in here if work.trained
                }
                ablations.append(
                    Ablation(title=part.title, dataset=dataset.variant, base=base, others=others, weights=weights)
                )
        return ablations

    def _of(self, entry: Entry, source: str) -> list[Work]:
        dataset = self.datasets[source]
        same = [work for work in self.work if work.entry == entry and work.dataset is dataset]
        return [work for work in same if work.is_first]

    def _variant(self, work: Work) -> str:
        """Return what records call a piece of work."""
        decoder = self.decoder_of(work)
        entry = work.entry.model_copy(update={"settings": work.chosen, "decoders": [decoder] if decoder else []})
        device, dataset = torch.device("cpu"), work.dataset.name
        served = cases.servings(entry, self.suite, dataset, {}, device, untrained=False)[0]
        sizes = {"device": str(device), "dtype": "float32", "batch_size": 1, "k": self.suite.k, "threads": 1}
        return Case(dataset=dataset, seen=self.suite.seen.value, **sizes, **served).variant


def _studies_of(kept: Kept, work: Work) -> Studies:
    what = (work.entry.name, work.settings, work.recipe, work.dataset)
    evaluation, beams = kept.evaluation(*what), kept.beams(*what)
    return Studies(evaluations=[evaluation] if evaluation else [], beams=[beams] if beams and work.beams else [])


def _holds(kept: Kept, work: Work) -> bool:
    studies = _studies_of(kept, work)
    return bool(studies.evaluations) and (work.beams is None or bool(studies.beams))


def _still_timed(kept: Kept, work: Sequence[Work]) -> Kept:
    """Return what stays of earlier results: a dataset's times hold together, for all of its weights or for none."""
    for unit in work:
        if unit.is_first and not _holds(kept, unit):
            kept = kept.without_times(unit.dataset)
    return kept


def read_part(path: Path) -> Studies | None:
    """Read studies that a step wrote; None where they are missing or damaged, and so to be made again."""
    try:
        return Studies.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def make_plan(
    name: str,
    *,
    sources: Sequence[str],
    size: str,
    only: Sequence[str],
    loading: Loading,
    kept: Kept | None = None,
    on_gpu: bool = False,
) -> Plan:
    """Read a suite and say what it takes.

    Args:
        name: Name of the suite, or its file.
        sources: Datasets, of those that the suite names; none named means all.
        size: Preset of all recommenders.
        only: Recommenders, of those that the suite names; none named means all.
        loading: How the datasets are loaded, but for the k-core, which is the suite's.
        kept: Results that are not made again. Where a first seed of a dataset is not among them, or is of another
            recipe, all of its first seeds are: ratios of times are of one run.
        on_gpu: Whether it is a GPU that ranks, for which a suite may name another decoder.

    Raises:
        UserError: A suite, dataset, recommender or setting is not as it must be.

    """
    if not is_preset(size):
        raise UserError(f"--size {size}: use a preset, one of {', '.join(PRESETS)}")
    suite = definitions.read_suite(name)
    if loading.min_count:
        raise UserError(f"--min-count {loading.min_count}: suite {name} says which k-core it keeps; leave it out")
    if suite.untrained or suite.synthetic or any(part.datasets for part in suite.parts):
        raise UserError(
            f"suite {name} has random weights, generated data of its own sizes, or parts with their own datasets: "
            f"measure it with pytest bench/ --benchmark-only --suite {name}"
        )
    entries = [(part, entry) for part, piece in suite.pieces() for entry in piece.recommenders]
    recommenders = {entry.name for _, entry in entries}
    if strange := [recommender for recommender in only if recommender not in recommenders]:
        raise UserError(f"--only {strange[0]}: suite {name} has {', '.join(sorted(recommenders))}")
    if strange := [source for source in sources if source not in suite.datasets]:
        raise UserError(f"--datasets {strange[0]}: suite {name} has {', '.join(suite.datasets)}")
    datasets = {
        source: loading.model_copy(update={"min_count": suite.min_count}).load(source)
        for source in sources or suite.datasets
    }
    folder = home("reproduce", Path(name).stem, size)
    work: dict[Path, Work] = {}
    for place in range(max(len(entry.seeds) for _, entry in entries)):
        for dataset in datasets.values():
            for _, entry in entries:
                if place < len(entry.seeds) and (not only or entry.name in only):
                    unit = _work(entry, entry.seeds[place], dataset, suite, size, folder)
                    work.setdefault(unit.results, unit)
    units = list(work.values())
    decoder = suite.ranks_with.get("cuda" if on_gpu else "cpu", DECODER)
    return Plan(Path(name).stem, suite, size, folder, units, datasets, _still_timed(kept or Kept(), units), decoder)


def _work(entry: Entry, seed: int, dataset: Dataset, suite: Suite, size: str, folder: Path) -> Work:
    chosen = {"preset": entry.presets.get(size, size)} | entry.settings | {"seed": seed}
    settings, recipe = resolve(entry.name, dataset.name, chosen)
    minutes = entry.train_minutes or suite.train_minutes
    if minutes is not None:
        recipe = recipe.model_copy(update={"max_minutes": minutes})
    place = checkpoints.folder_for(entry.name, settings, dataset)
    if minutes is not None:  # other weights than those of the recipe's full length
        place = folder / "checkpoints" / place.parent.name / place.name
    file = f"{place.parent.name}-{place.name}.json"
    beams = folder / "beams" / file if entry.beams and seed == entry.seeds[0] else None
    return Work(entry, dataset, chosen, settings, place, folder / "evaluations" / file, beams, recipe)
