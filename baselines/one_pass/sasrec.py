"""SASRec: a causal transformer over item IDs (Kang and McAuley 2018, arXiv 1808.09781).

The blocks are GPT-2's from transformers: learned positions, pre-norm, feed-forward of the model's
width with ReLU, item embeddings tied to the output. Two losses: ``bce`` with one negative a place,
as published, and ``ce``, softmax over the whole catalogue, without which it is no fair baseline
(Klenitskiy and Vasilev 2023, arXiv 2309.07602).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor
from transformers import BatchFeature, GPT2Config, GPT2Model, PretrainedConfig
from transformers.utils.generic import ModelOutput

from models import forward_costs, recommender
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.item_scored import ItemScored
from models.kept_keys import KeptKeys, Returning, Shape
from models.losses import binary_cross_entropy, catalogue_cross_entropy
from models.padding import PADDING
from models.sequences import Windows, collate_windows, negatives_outside, request_batch
from models.spoken import Spoken

SIZES: dict[str, dict[str, int]] = {
    "compact": {"width": 64, "layers": 2, "heads": 2},
    "t5-small": {"width": 512, "layers": 6, "heads": 8},
    "t5-base": {"width": 768, "layers": 12, "heads": 12},
}
"""Presets; those named after T5 have its width, depth and heads, for comparisons at equal size."""


class Loss(StrEnum):
    """What training minimises."""

    CE = "ce"
    BCE = "bce"


class Settings(recommender.Settings):
    """Settings of SASRec.

    Attributes:
        loss: Full softmax cross-entropy, or binary cross-entropy with one sampled negative.
        max_length: Most items read of a history.
        dropout: On embeddings, attention and residual branches.

    """

    loss: Loss = Loss.CE
    max_length: int = Field(default=100, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)


def blocks(size: dict[str, int], *, rows: int, places: int, dropout: float) -> GPT2Config:
    """Return GPT-2's configuration of SASRec's blocks.

    Args:
        size: Width, layers and heads, a row of `SIZES`.
        rows: Rows of the embedding; 1 where vectors are read and no numbers.
        places: Most items that have a position.
        dropout: On embeddings, attention and residual branches.

    """
    return GPT2Config(
        vocab_size=rows,
        n_positions=places,
        n_embd=size["width"],
        n_layer=size["layers"],
        n_head=size["heads"],
        n_inner=size["width"],
        activation_function="relu",
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )


class SASRecConfig(PretrainedConfig):
    """Sizes and loss of a SASRec; `backbone` holds GPT-2's configuration."""

    model_type = "sasrec"

    def __init__(
        self,
        items: int = 1,
        loss: str = "ce",
        max_items: int = 100,
        backbone: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.loss = loss
        self.max_items = max_items
        self.backbone = backbone or {}
        super().__init__(**kwargs)


class SASRec(Returning, ItemScored):
    """See the module's docstring."""

    settings_type = Settings
    spoken = Spoken("SASRec")
    config_class = SASRecConfig
    config: SASRecConfig

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__(config)
        self.backbone = GPT2Model(GPT2Config(**config.backbone))
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights."""
        del histories
        assert isinstance(settings, Settings)
        if settings.preset not in SIZES:
            raise UserError(f"sasrec has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        sizes = SIZES[settings.preset]
        backbone = blocks(sizes, rows=len(catalogue) + 1, places=settings.max_length, dropout=settings.dropout)
        config = SASRecConfig(len(catalogue), settings.loss.value, settings.max_length, backbone.to_diff_dict())
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(config)

    def examples(self, histories: Sequence[History]) -> Windows:
        """Cut histories into windows of `max_length` predictions."""
        return Windows(histories, self.config.max_items)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad windows on the right."""
        return collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean loss over all places with a label; both arguments are int64 [B, S]."""
        hidden = self.backbone(input_ids=input_ids).last_hidden_state
        real = labels != PADDING
        queries, positives = hidden[real], labels[real]  # [T, D], [T]
        if self.config.loss == Loss.CE:
            loss = catalogue_cross_entropy(queries, self.item_vectors[1:], positives - 1)  # padding is no candidate
        else:
            negatives = negatives_outside(input_ids, labels, self.config.items)[real]
            loss = binary_cross_entropy(queries, self.item_vectors, positives, negatives)
        return ModelOutput(loss=loss)

    def index(self, catalogue: Catalogue) -> None:
        """Check the catalogue, and forget all users."""
        super().index(catalogue)
        self.forget()

    def new_kept(self) -> KeptKeys:
        """Return room for keys and values of all blocks."""
        shape = Shape.of(self.backbone.config, self.config.max_items)
        return KeptKeys(lambda events, **how: self.backbone(input_ids=events, **how), shape, self.item_vectors)

    def padded(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` items on the right."""
        return request_batch(histories, self.config.max_items, self.serving)

    def most_places(self, name: str) -> int | None:
        """Return the most items that have a position."""
        return self.config.max_items if name == "input_ids" else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the hidden state of the newest item, [B, D]."""
        hidden: Tensor = self.backbone(input_ids=inputs["input_ids"]).last_hidden_state
        return hidden[torch.arange(len(hidden), device=hidden.device), inputs["last"]]

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the blocks and the ranking; None for remembered users, whose steps differ in length."""
        if self.is_known(inputs):
            return None
        users, places = inputs["input_ids"].shape
        return forward_costs.total(forward_costs.gpt2(self.backbone.config, users, places), self.ranking_flops(users))

    @property
    def item_vectors(self) -> Tensor:
        """GPT-2's token embeddings."""
        vectors: Tensor = self.backbone.wte.weight
        return vectors
