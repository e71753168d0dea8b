"""Trained weights on disk: where they are, what they are, and how they come back.

A checkpoint is a folder with ``config.json``, ``model.safetensors``, the recommender's assets, and
a card, written last, that says what was trained on what and how it went::

    .bench/checkpoints/<dataset>-<digest>/<recommender>-<preset>-seed<n>-<digest>/
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from transformers.utils import logging

from bench.data.dataset import Dataset
from bench.data.files import sha256
from bench.ground.bounds import fault
from bench.ground.home import atomic, home
from bench.ground.textfiles import read_text
from bench.records.learning import CurvePoint, Ending, ending
from bench.training.recipes import Recipe
from models import registry
from models.errors import UserError
from models.recommender import Settings
from models.serving import Serving
from models.trainable import TrainableRecommender

CARD = "card.json"

RUN = "run"
"""Subfolder of an unfinished checkpoint in which the Trainer keeps what it resumes from."""


NOTES = (".txt", ".md")
"""Endings of files that no loader of ours reads."""


class Card(BaseModel):
    """What a checkpoint is.

    Attributes:
        recommender: Name in the registry, or ``package.module:Class``.
        settings: What it was built with.
        dataset: Name of the dataset.
        dataset_checksum: Checksum of the dataset's source.
        dataset_options: What the dataset was loaded with.
        recipe: How it was trained.
        validation: How validation users were ranked; None in cards that older versions wrote.
        commit: The code that trained it; None outside git, and in older cards.
        files: SHA-256 of each file of the checkpoint; empty in older cards.
        training: Steps, epochs, seconds, and the best metrics on validation.
        curve: What each evaluation on validation found, in order; empty in older cards.

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
    files: dict[str, str] = {}
    training: dict[str, str | int | float | bool | None] = {}
    curve: tuple[CurvePoint, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _what_older_versions_called_so(cls, values: Any) -> Any:
        serving = values.get("validation") if isinstance(values, dict) else None
        if not isinstance(serving, dict) or "captured" not in serving:
            return values
        now = {name: value for name, value in serving.items() if name != "captured"}
        return values | {"validation": now | {"compiled": serving["captured"]}}

    @property
    def ending(self) -> Ending | None:
        """Whether it was trained to its end; None where the card holds no curve."""
        return ending(self.curve, cooldown=self.recipe.cooldown, patience=self.recipe.patience)

    def check(self, dataset: Dataset, folder: Path) -> None:
        """Raise a `UserError` unless this checkpoint was trained on just this dataset."""
        same = self.dataset_checksum == dataset.source.checksum and self.dataset_options == dataset.source.options
        if same:
            return
        if self.dataset_options == dataset.source.options:
            raise UserError(
                f"checkpoint {folder} was trained on other contents of {self.dataset}: its files have changed, or "
                "are others of that name; give the files it was trained on, or train again"
            )
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
    if not path.is_file():
        raise UserError(f"{folder} is no checkpoint: there is no {CARD}; train one with python -m bench.train")
    try:
        return Card.model_validate_json(read_text(path))
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({fault(error)}): delete {folder} and train again") from error


def settings_of(card: Card, folder: Path) -> Settings:
    """Return what a checkpoint's recommender was built with.

    Raises:
        UserError: The card names another class than the one that has these settings.

    """
    kind = registry.load(card.recommender).settings_type
    try:
        return kind(**card.settings)
    except ValidationError as error:
        raise UserError(
            f"{folder / CARD}: {card.recommender} has no such settings ({fault(error)}); the card is of another class, "
            "or damaged"
        ) from error


def write_card(folder: Path, card: Card) -> None:
    """Write the card, which makes the folder a finished checkpoint; it names each file with its digest."""
    named = card.model_copy(update={"files": _digests(folder)})
    with atomic(folder / CARD) as path:
        path.write_text(named.model_dump_json(indent=2) + "\n")


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a checkpoint but its card; an unfinished run is no part of it."""
    return {name: sha256(folder / name) for name in _own_files(folder)}


def _own_files(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in names if name != CARD and not name.startswith((f"{RUN}/", "."))]


def _check_files(folder: Path, card: Card) -> None:
    """Refuse a checkpoint whose files are not those that the card says; notes beside them are nobody's business.

    Raises:
        UserError: One is missing, was changed, or was added where it could be read.

    """
    for name, digest in card.files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"checkpoint {folder}: {name} is missing; copy the whole folder, or train again")
        if sha256(path) != digest:
            raise UserError(f"checkpoint {folder}: {name} was changed or damaged after training; train again")
    if card.files:
        added = (name for name in _own_files(folder) if name not in card.files and not name.endswith(NOTES))
        for name in added:
            raise UserError(f"checkpoint {folder}: {name} was added after training, and could be read; take it away")


def load(folder: Path) -> tuple[TrainableRecommender, Card]:
    """Load a checkpoint; weights come from safetensors only.

    Raises:
        UserError: The folder is no finished checkpoint, or its files are damaged or not those of its card.

    """
    card = read_card(folder)
    kind = registry.load(card.recommender)
    if not issubclass(kind, TrainableRecommender):
        raise UserError(f"{folder / CARD}: {card.recommender} has no weights to load; name another checkpoint")
    _check_files(folder, card)
    logging.disable_progress_bar()  # transformers' own, for loading that takes no time
    try:
        return kind.from_pretrained(folder), card
    except Exception as error:  # its files may hold anything, and transformers checks little of it
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"checkpoint {folder} cannot be loaded ({reason}): delete it and train again") from error


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's safetensors."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
