"""Trained weights on disk: where they are, what they are, and how they come back.

A checkpoint is a folder with ``config.json``, ``model.safetensors``, the recommender's assets, and
a card, written last, that says what was trained on what and how it went::

    .bench/checkpoints/<dataset>-<digest>/<recommender>-<preset>-seed<n>-<digest>/
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from transformers.utils import logging

from bench.data.dataset import Dataset
from bench.home import atomic, home
from bench.recipes import Recipe
from models import registry
from models.errors import UserError
from models.recommender import Serving, Settings, TrainableRecommender

CARD = "card.json"


class Card(BaseModel):
    """What a checkpoint is.

    Attributes:
        recommender: Name in the registry, or ``package.module:Class``.
        settings: What it was built with.
        dataset: Name of the dataset.
        dataset_checksum: Of the dataset's source.
        dataset_options: What the dataset was loaded with.
        recipe: How it was trained.
        validation: How validation users were ranked; None in cards that older versions wrote.
        commit: The code that trained it; None outside git, and in older cards.
        training: Steps, epochs, seconds, and the best metrics on validation.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recommender: str
    settings: dict[str, str | int | float | bool | None]
    dataset: str
    dataset_checksum: str
    dataset_options: dict[str, str | int | bool | None]
    recipe: Recipe
    validation: Serving | None = None
    commit: str | None = None
    training: dict[str, str | int | float | bool | None] = {}

    def check(self, dataset: Dataset, folder: Path) -> None:
        """Raise a `UserError` unless this checkpoint was trained on just this dataset."""
        same = self.dataset_checksum == dataset.source.checksum and self.dataset_options == dataset.source.options
        if not same:
            raise UserError(
                f"checkpoint {folder} was trained on {self.dataset} loaded with {self.dataset_options}, "
                f"not on {dataset.name} loaded with {dataset.source.options}: "
                "give the same dataset options, or train again"
            )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def data_folder(dataset: Dataset) -> str:
    """Return a folder's name for what is made of a dataset, loaded with just these options."""
    return f"{dataset.name}-{_digest(dataset.source.checksum, dataset.source.options)}"


def folder_for(recommender: str, settings: Settings, dataset: Dataset) -> Path:
    """Return the folder that a recommender's checkpoint has, whether it exists or not."""
    name = recommender.replace(":", ".").replace("/", ".")
    values = settings.model_dump(mode="json")
    return home(
        "checkpoints", data_folder(dataset)
    ) / f"{name}-{settings.preset}-seed{settings.seed}-{_digest(values)}".replace("/", "_")


def read_card(folder: Path) -> Card:
    """Read a checkpoint's card.

    Raises:
        UserError: The folder is no finished checkpoint.

    """
    path = folder / CARD
    try:
        return Card.model_validate_json(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} is no checkpoint: there is no {CARD}; train one with python -m bench.train"
        ) from error
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({error.errors()[0]['msg']}): delete {folder} and train again") from error


def write_card(folder: Path, card: Card) -> None:
    """Write the card, which makes the folder a finished checkpoint."""
    with atomic(folder / CARD) as path:
        path.write_text(card.model_dump_json(indent=2) + "\n")


def load(folder: Path) -> tuple[TrainableRecommender, Card]:
    """Load a checkpoint; weights come from safetensors only.

    Raises:
        UserError: The folder is no finished checkpoint, or its files are damaged.

    """
    card = read_card(folder)
    kind = registry.load(card.recommender)
    assert issubclass(kind, TrainableRecommender)
    logging.disable_progress_bar()  # transformers' own, for loading that takes no time
    try:
        return kind.from_pretrained(folder), card
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"checkpoint {folder} cannot be loaded ({reason}): delete it and train again") from error


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's safetensors."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
