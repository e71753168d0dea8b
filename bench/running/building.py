"""The recommenders of a run: loaded, trained or built, once for all cases that share weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch

from bench.cli.options import BEAM_WIDTH, all_cores, serving_for
from bench.data.dataset import Dataset
from bench.measure import memory
from bench.records.case import Case, WeightsKind
from bench.records.decoders import QUANTISED
from bench.records.record import Weights
from bench.suites.cases import DTYPES, Planned
from bench.training import checkpoints, recipes
from models import registry
from models.recommender import Recommender
from models.serving import Scores
from models.trainable import TrainableRecommender

RENORMALISED = "renormalised scores rank otherwise than scores over the whole vocabulary"


class Builder:
    """Makes the recommenders of one dataset's cases, and keeps their weights.

    Args:
        dataset: What they recommend from.
        device: Where they run.
        train_minutes: Bound on training one on the fly; None leaves it to the recipe.
        progress: Told what goes on.

    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        device: torch.device,
        train_minutes: float | None,
        progress: Callable[[str], None],
    ) -> None:
        self._dataset = dataset
        self._device = device
        self._train_minutes = train_minutes
        self._progress = progress
        self._built: dict[str, tuple[Recommender, Weights]] = {}

    def get(self, planned: Planned) -> tuple[Recommender, Weights]:
        """Return a case's recommender, in eval mode and not indexed, and what its weights are; `train` comes first.

        Every call returns another one, to be served in its own way; equal weights exist once.

        Raises:
            UserError: A checkpoint cannot be loaded or was trained on other data.

        """
        case = planned.case
        key = _key(planned)
        if key not in self._built:
            recommender, card, folder = self._open(case, planned.checkpoint)
            recommender = recommender.to(device=self._device, dtype=DTYPES[case.dtype]).eval()
            weights = describe(recommender, case, card, folder)
            if case.dtype in QUANTISED:
                recommender.round_weights()
                weights = weights.model_copy(update={"parameter_bytes": memory.weight_bytes(recommender)})
            self._built[key] = recommender, weights
        recommender, weights = self._built[key]
        return sharing_weights(recommender), weights

    def train(self, planned: Planned) -> None:
        """Train a case's weights where it needs trained ones, names no checkpoint, and none is kept.

        Raises:
            UserError: The recommender or one of its settings is not as it must be.

        """
        case = planned.case
        kind = registry.load(case.recommender)
        settings, recipe = recipes.resolve(case.recommender, case.dataset, dict(case.settings))
        trainable = case.weights is WeightsKind.TRAINED and issubclass(kind, TrainableRecommender)
        if not trainable or planned.checkpoint is not None:
            return
        folder = checkpoints.folder_for(case.recommender, settings, self._dataset)
        if (folder / checkpoints.CARD).exists():
            return
        from bench.training.loop import train_unless_done  # transformers' Trainer takes seconds to import

        minutes = self._train_minutes or recipe.max_minutes
        self._progress(f"training {case.variant} on {case.dataset}, {minutes:g} minutes at most, kept in {folder}")
        recipe = recipe.model_copy(update={"max_minutes": minutes})
        serving = serving_for(case.recommender, kind, None, BEAM_WIDTH, Scores.FULL_VOCAB)
        with all_cores():
            train_unless_done(
                case.recommender, settings, recipe, self._dataset, serving=serving, device=self._device, folder=folder
            )

    def keep_only(self, planned: Planned) -> None:
        """Let go of all weights but those of one case, where these were built before."""
        self._built = {key: built for key, built in self._built.items() if key == _key(planned)}

    def _open(self, case: Case, checkpoint: Path | None) -> tuple[Recommender, checkpoints.Card | None, Path | None]:
        kind = registry.load(case.recommender)
        settings, _ = recipes.resolve(case.recommender, case.dataset, dict(case.settings))
        if case.weights is not WeightsKind.TRAINED or not issubclass(kind, TrainableRecommender):
            self._progress(f"building {case.variant}")
            return kind.build(self._dataset.catalogue, self._dataset.training(), settings), None, None
        folder = checkpoint or checkpoints.folder_for(case.recommender, settings, self._dataset)
        recommender, card = checkpoints.load(folder)
        card.check(self._dataset, folder)
        return recommender, card, folder


def describe(recommender: Recommender, case: Case, card: checkpoints.Card | None, folder: Path | None) -> Weights:
    """Say what a case's weights are.

    Args:
        recommender: Has them.
        case: Which case.
        card: Card of the checkpoint; None where nothing was trained.
        folder: The checkpoint.

    """
    settings, _ = recipes.resolve(case.recommender, case.dataset, dict(case.settings))
    return Weights(
        checkpoint=folder and folder.name,
        sha256=folder and checkpoints.weights_digest(folder),
        parameters=sum(parameter.numel() for parameter in recommender.parameters()),
        parameter_bytes=memory.weight_bytes(recommender),
        training={} if card is None else card.training,
        recipe={} if card is None else card.recipe.model_dump(mode="json"),
        curve=() if card is None else card.curve,
        ending=card and card.ending,
        trained_by=card and card.commit,
        settings=settings.model_dump(mode="json") if card is None else card.settings,
        tokenizer=recommender.tokenizer_name,
    )


def labels_of(recommender: Recommender, case: Case) -> list[str]:
    """Return the cautions that a recommender and the way it is served give cause for."""
    return [*recommender.labels, *([RENORMALISED] if case.scores == Scores.RENORMALISED else [])]


def _key(planned: Planned) -> str:
    """Return what cases of equal weights have in common."""
    return repr((planned.case.recommender, planned.case.settings, planned.case.dtype, planned.checkpoint))


def sharing_weights(recommender: Recommender) -> Recommender:
    """Return another recommender of the same weights, which can be served and indexed on its own.

    Submodules are the same objects. What `index` sets on the recommender itself belongs to the copy;
    what it sets on a submodule, such as item vectors, depends on catalogue and weights alone.
    """
    other = copy.copy(recommender)
    for name in ("_parameters", "_buffers", "_modules"):
        other.__dict__[name] = dict(other.__dict__[name])
    return other
