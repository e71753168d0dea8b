"""Lite-LLM4Rec with a shortcut: what it has learned, times what follows and resembles the last items.

A product of experts (Hinton 2002, "Training products of experts by minimizing contrastive divergence"): the score of
item j is ``log p(j) + weight * log(share(j) + floor)``, with p the softmax over the catalogue of `models.lite_llm4rec`
and share the part of the scores of `baselines.one_pass.shortcut` that falls to j. Weights are those of Lite-LLM4Rec,
trained as ever; weight and floor are chosen on validation after training. Not the paper's: it shows what a trained
recommender and counting give together, in one pass and without beams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from torch import Tensor
from transformers import BatchFeature

from baselines.one_pass.shortcut import Shortcut, ShortcutSettings
from models import forward_costs, lite_llm4rec, recommender
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.int8 import products
from models.lite_llm4rec import Head, LiteLLM4Rec, LiteLLM4RecConfig
from models.padding import PADDING
from models.phases import phase
from models.ranking.lists import top_items
from models.ranking.ranker import CatalogueRanker
from models.serving import Recommendations
from models.spoken import Spoken

FILE = "transitions.safetensors"
"""Name in a checkpoint folder."""

WEIGHTS = (0.3, 0.6, 1.0, 1.7, 3.0)
FLOORS = (1e-5, 1e-4, 1e-3)
"""Mixtures that are tried on validation."""


class Settings(lite_llm4rec.Settings, ShortcutSettings):
    """Settings of both, and how they are mixed.

    Attributes:
        shortcut_weight: Power of the shortcut's share while training ranks validation users; 0 leaves Lite-LLM4Rec
            alone. After training the best of `WEIGHTS` replaces it.
        floor: Added to every share, so that an item that nothing leads to can be recommended; likewise the best of
            `FLOORS`.

    """

    shortcut_weight: float = Field(default=1.0, ge=0, le=100)
    floor: float = Field(default=1e-4, gt=0, le=1)


class MixtureConfig(LiteLLM4RecConfig):
    """As of Lite-LLM4Rec, under a name of its own."""

    model_type = "lite-llm4rec-shortcut"


class Mixture(LiteLLM4Rec):
    """See the module's docstring. Shapes: B users, n items.

    Attributes:
        beside: The one shortcut. It is no submodule: its tables follow from counts, and are no weights.
        mix: Weight of the shortcut's share, and floor, float [2].

    """

    settings_type = Settings
    spoken = Spoken("Lite-LLM4Rec + shortcut")
    compilable = False
    rankers: ClassVar[Mapping[str, CatalogueRanker]] = {}  # it needs the scores of all items
    config_class = MixtureConfig
    config: MixtureConfig
    settings: Settings
    beside: tuple[Shortcut, ...] = ()
    mix: Tensor

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config)
        self.register_buffer("mix", torch.empty(2))
        self._mix(self.settings.shortcut_weight, self.settings.floor)

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make a Lite-LLM4Rec, and count the transitions of training histories."""
        model = super().build(catalogue, histories, settings)
        assert isinstance(settings, Settings)
        model.beside = (Shortcut.build(catalogue, histories, settings),)
        return model

    def _mix(self, weight: float, floor: float) -> None:
        """Say how much the shortcut counts."""
        self.mix[0], self.mix[1] = weight, floor

    def choose_on_validation(self, quality: Callable[[], float]) -> dict[str, float]:
        """Keep the weight and the floor that rank validation users best, the first of equal ones."""
        tried = {}
        for weight, floor in product(WEIGHTS, FLOORS):
            self._mix(weight, floor)
            tried[weight, floor] = quality()
        best = max(tried, key=tried.__getitem__)
        self._mix(*best)
        return dict(zip(("shortcut weight", "floor"), best, strict=True))

    def index(self, catalogue: Catalogue) -> None:
        """Encode every item's text, and add up graph and texts for each item."""
        super().index(catalogue)
        (shortcut,) = self.beside
        shortcut.to(device=self.device)
        shortcut.index(catalogue)

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the item vectors, and of each item's neighbours."""
        return super().index_parts | self.beside[0].index_parts

    def new_kept(self) -> None:
        """Keep nobody: a mixture reads each history anew."""

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Prepare as Lite-LLM4Rec does; ``newest`` int64 [B, 2] are the last two items."""
        batch = super().prepare(histories)
        batch["newest"] = self.beside[0].prepare(histories)["last"]
        return batch

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Score every item by both in one pass, and rank by their mixture."""
        with phase("encode"):
            query = self.query_of(inputs)
        with phase("rank"):
            scores = products(query, *self.ranked_rows).float()  # [B, n + 1]
            scores[:, PADDING] = -torch.inf
        with phase("mix"):
            share = self.beside[0].add_up(inputs["newest"])
            share = share / share.sum(1, keepdim=True)
            weight, floor = self.mix.float()
            mixed = scores.log_softmax(1) + weight * (share + floor).log()
            return top_items(mixed, k, inputs.get("seen_items"))

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the Recommendation LLM and one product with all items; what is looked up costs nothing."""
        users, places = inputs["input_ids"].shape
        read = forward_costs.reader(self.rec_llm.config, users, len(self.config.instruction) + places)
        if read is None:
            return None
        width = self.rec_llm.config.hidden_size
        turned = 0 if self.settings.head is Head.LINEAR else forward_costs.products(users, (width, width))
        return read + turned + forward_costs.products(users, (width, self.config.items + 1))

    def save_assets(self, folder: Path) -> None:
        """Save the tokenizer, and the transitions that were counted."""
        super().save_assets(folder)
        save_file(self.beside[0].counted, folder / FILE)

    def load_assets(self, folder: Path) -> None:
        """Load both.

        Raises:
            UserError: The transitions are missing or damaged.

        """
        super().load_assets(folder)
        path, size = folder / FILE, self.config.items + 1
        try:
            kept: dict[str, Any] = load_file(path)
            parts = (kept["weights"], kept["columns"], kept["starts"])
            transitions = sparse.csr_array(parts, shape=(size, size))
            transitions.check_format()
            counts = kept["counts"].reshape(size)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}): the checkpoint is not whole, train again") from error
        if not np.isfinite(transitions.data).all():
            raise UserError(f"{path} holds what are no numbers: the checkpoint is not whole, train again")
        self.beside = (Shortcut(transitions, counts, self.settings),)
