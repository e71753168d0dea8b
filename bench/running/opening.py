"""Recommenders by name or by checkpoint folder, with what must be said of them beside their figures."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data.dataset import Dataset
from bench.records.case import Case, WeightsKind
from bench.records.naming import Named
from bench.records.record import Weights
from bench.running.building import describe, labels_of
from bench.suites import cases
from bench.suites.naming import named_of
from bench.training import checkpoints
from bench.training.recipes import resolve
from models import registry
from models.errors import UserError
from models.recommender import Recommender, Settings
from models.serving import Serving
from models.trainable import TrainableRecommender


@dataclass(frozen=True)
class Opened:
    """A recommender that can rank.

    Attributes:
        recommender: The recommender, in eval mode and not indexed.
        name: In the registry, or ``package.module:Class``.
        settings: What it was built with.
        dataset: What it recommends from.
        card: Card of its checkpoint; None where nothing was trained.
        folder: Its checkpoint.

    """

    recommender: Recommender
    name: str
    settings: Settings
    dataset: Dataset
    card: checkpoints.Card | None = None
    folder: Path | None = None

    def case(self, serving: Serving, *, device: torch.device, batch_size: int, k: int) -> Case:
        """Name what is ranked, as records do."""
        generative = {} if serving.decoder is None else {"scores": serving.scores.value}
        return Case(
            recommender=self.name,
            settings=cases.named_settings(self.name, self.dataset.name, self.settings),
            dataset=self.dataset.name,
            loaded_with=self.dataset.source.unusual,
            weights=WeightsKind.AS_BUILT if self.card is None else WeightsKind.TRAINED,
            device=str(device),
            dtype="float32",
            batch_size=batch_size,
            k=k,
            seen=serving.seen.value,
            decoder=serving.decoder,
            beam_width=serving.beam_width,
            ranker=serving.ranker,
            ranking=None if serving.ranker is None else cases.ranking_of(self.recommender.rankers[serving.ranker]),
            threads=torch.get_num_threads(),
            **generative,
        )

    def named(self, case: Case) -> Named:
        """Return what people call it."""
        return named_of(self.name, self.dataset.name, case.settings)

    def weights(self, case: Case) -> Weights:
        """Say what the weights are."""
        return describe(self.recommender, case, self.card, self.folder)

    def labels(self, case: Case) -> list[str]:
        """Return the cautions to show beside the figures."""
        return labels_of(self.recommender, case)


def open_recommender(name: str, dataset: Dataset, chosen: dict[str, str | int]) -> Opened:
    """Load a checkpoint folder or a recommender's checkpoint; build what needs no training.

    Args:
        name: Registry name, ``package.module:Class``, or a checkpoint folder.
        dataset: What it is to recommend from.
        chosen: Settings that the user named.

    Raises:
        UserError: There is no such checkpoint, or it was trained on other data.

    """
    if (Path(name) / checkpoints.CARD).exists():
        return _loaded(Path(name), dataset)
    kind = registry.load(name)
    settings, _ = resolve(name, dataset.name, chosen)
    if not issubclass(kind, TrainableRecommender):
        return Opened(kind.build(dataset.catalogue, dataset.training(), settings).eval(), name, settings, dataset)
    folder = checkpoints.folder_for(name, settings, dataset)
    if not (folder / checkpoints.CARD).exists():
        options = [f"--{key.replace('_', '-')} {value}" for key, value in dataset.source.unusual.items()]
        options += [f"--set {key}={value}" for key, value in chosen.items() if (key, value) != ("seed", 0)]
        command = " ".join([f"python -m bench.train {name} --dataset {dataset.source.name}", *options])
        raise UserError(f"{name} has no checkpoint for {dataset.name} at {folder}: train it with {command}")
    return _loaded(folder, dataset)


def _loaded(folder: Path, dataset: Dataset) -> Opened:
    recommender, card = checkpoints.load(folder)
    card.check(dataset, folder)
    settings = checkpoints.settings_of(card, folder)
    return Opened(recommender.eval(), card.recommender, settings, dataset, card, folder)


def command_of(module: str) -> str:
    """Return the command line of a module's command as it was typed."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])
