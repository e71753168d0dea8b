"""What a DeftRec is built with, and what it is made of."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from transformers import PretrainedConfig

from baselines.diffusion.deftrec.prompts import PROMPTS
from models import recommender


class Settings(recommender.Settings):
    """Settings of DeftRec; `preset` is ``compact``, another Llama or its kin, a local directory or a hub name.

    Attributes:
        tokens: Continuous tokens an item, K.
        titles: Whether a prompt tells the beginning of each title beside the tokens.
        max_history: Most items of a prompt.
        prompt: Which prompt serves: 0 to 5 are trained on, 6 is the unseen one.
        new_tokens: Most tokens of an answer.
        text_weight: Weight of the answer's cross-entropy beside the diffusion's error.
        contrast: Weight of the loss that asks for a greater error on another item.
        unconditional: Share of training examples whose condition is left out, which guidance needs.
        vocab_size: Most tokens of a tokenizer that is trained for lack of a pretrained one.
        as_released: Whether to sample, mask, lose the first item and pad as the public code does.

    """

    tokens: int = Field(default=2, ge=1, le=16)
    titles: bool = True
    max_history: int = Field(default=20, ge=1, le=10_000)
    prompt: int = Field(default=0, ge=0, lt=len(PROMPTS))
    new_tokens: int = Field(default=32, ge=2, le=1024)
    text_weight: float = Field(default=0.1, ge=0, le=100)
    contrast: float = Field(default=0.5, ge=0, le=100)
    unconditional: float = Field(default=0.1, ge=0, lt=1)
    vocab_size: int = Field(default=4096, ge=256, le=1_000_000)
    as_released: bool = False


class DeftRecConfig(PretrainedConfig):
    """What a DeftRec is made of.

    Attributes:
        settings: The `Settings` it was built with.
        backbone: Configuration of the Llama.
        items: Size n of the catalogue.
        first_token: Number of the first word that a continuous token replaces.
        end: The token that ends a text.

    """

    model_type = "deftrec"

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        backbone: dict[str, Any] | None = None,
        items: int = 1,
        first_token: int = 0,
        end: int = 0,
        **kwargs: Any,
    ) -> None:
        self.settings = settings or {}
        self.backbone = backbone or {"model_type": "llama"}
        self.items = items
        self.first_token = first_token
        self.end = end
        super().__init__(**kwargs)
