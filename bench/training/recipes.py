"""How a recommender is trained on a dataset: the tables of ``recipes.toml``, resolved."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.ground.bounds import BatchSize, Count, Epochs, Minutes, Rounds, Users, fault, in_words, place_of
from models import registry
from models.errors import UserError
from models.recommender import Settings

RECIPES = Path(__file__).with_name("recipes.toml")


class Optimizer(StrEnum):
    """What turns gradients into steps."""

    ADAMW = "adamw"
    ADAFACTOR = "adafactor"
    """Steps scaled by each parameter's size (Shazeer and Stern 2018), as T5 is trained: its embeddings
    start a hundred times larger than a step of AdamW moves them."""


class Recipe(BaseModel):
    """Hyperparameters of one training run.

    Attributes:
        batch_size: Examples a step, of all processes together.
        optimizer: AdamW, or Adafactor for T5s from scratch.
        learning_rate: Constant between warm-up and cool-down; relative to each parameter's size with Adafactor.
        weight_decay: Weight decay of AdamW.
        warmup_steps: Steps over which the learning rate rises.
        cooldown: Last part of the time budget, over which the learning rate falls to 0 (as in MiniCPM's
            warm-up, stable, decay; Hu et al. 2024, arXiv 2404.06395, section 4); 0 for none.
        epochs: Upper bound; less than 1 sees a part of the examples.
        evaluate_every: Steps between evaluations on validation.
        validation_users: Users ranked at each, a seeded sample.
        patience: Evaluations without a better NDCG@10 before training stops.
        max_minutes: Training time at most, over all resumed parts; evaluation included.
        bf16_on_cpu: Whether a CPU that has instructions for bfloat16 computes products in it; a GPU always does.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_size: BatchSize
    optimizer: Optimizer = Optimizer.ADAMW
    learning_rate: float = Field(gt=0, le=100)
    weight_decay: float = Field(ge=0, le=100)
    warmup_steps: Count
    cooldown: float = Field(default=0.0, ge=0, le=1)
    epochs: Epochs
    evaluate_every: Rounds
    validation_users: Users
    patience: Rounds
    max_minutes: Minutes
    bf16_on_cpu: bool = False


@cache
def _tables() -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = tomllib.loads(RECIPES.read_text())["recipe"]
    return tables


def _names(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def resolve(recommender: str, dataset: str, chosen: dict[str, Any]) -> tuple[Settings, Recipe]:
    """Choose settings and recipe.

    Args:
        recommender: Its name in the registry, or ``package.module:Class``.
        dataset: The dataset's name.
        chosen: Settings that the user named; they go before the recipe's.

    Raises:
        UserError: A setting is unknown or has a value it cannot have.

    """
    kind = registry.load(recommender).settings_type
    here = {"recommender": recommender, "dataset": dataset, "preset": chosen.get("preset", "compact")}
    recipe: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    try:
        asked = kind(**chosen).model_dump(mode="json", include=set(chosen))
        for table in _tables():
            fits = all(value in _names(table.get(key, value)) for key, value in here.items())
            if fits and table.get("chosen", {}).items() <= asked.items():
                recipe |= {key: value for key, value in table.items() if key not in {*here, "settings", "chosen"}}
                settings |= table.get("settings", {})
        return kind(**settings | chosen), Recipe(**recipe)
    except ValidationError as error:
        names = ", ".join(kind.model_fields)
        said = f"setting {fault(error)}" if place_of(error) else in_words(error)
        raise UserError(f"{recommender}: {said}; its settings are {names}") from error
