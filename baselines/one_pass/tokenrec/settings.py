"""What a TokenRec is built with, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field
from transformers import PretrainedConfig

from baselines.one_pass.tokenrec.prompts import (
    PROMPTS,
)
from models import recommender


class Loss(StrEnum):
    """What training minimises."""

    COSINE = "cosine"
    """Cosine embedding loss with one sampled item, as published."""
    CE = "ce"
    """Cross-entropy of cosines over the whole catalogue."""


class Settings(recommender.Settings):
    """Settings of TokenRec; `preset` is ``compact``, ``t5-small``, ``t5-base``, or a T5's local directory or hub name.

    Attributes:
        loss: What is minimised.
        temperature: What cosines are divided by under ``loss=ce``.
        max_history: Most items of a prompt.
        prompt: Which prompt serves: 0 to 9 are trained on, 10 is the unseen one.
        codebooks: Codes of a user or an item.
        codebook_size: Codes of each book.
        newcomers: Share of training prompts that do not name their user.
        dropout: T5's, in every layer.
        vocab_size: Most tokens, besides codes, of a tokenizer that is trained for lack of a pretrained one.
        as_released: Whether to shuffle, to pad and to share nothing, as the public code does.

    """

    loss: Loss = Loss.COSINE
    temperature: float = Field(default=0.05, gt=0, le=10)
    max_history: int = Field(default=50, ge=1, le=100_000)
    prompt: int = Field(default=0, ge=0, lt=len(PROMPTS))
    codebooks: int = Field(default=3, ge=1, le=8)
    codebook_size: int = Field(default=256, ge=2, le=65536)
    newcomers: float = Field(default=0.1, ge=0, le=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    vocab_size: int = Field(default=512, ge=256, le=1_000_000)
    as_released: bool = False


class TokenRecConfig(PretrainedConfig):
    """What a TokenRec is made of.

    Attributes:
        settings: The `Settings` it was built with.
        t5: Configuration of the backbone.
        items: Size n of the catalogue.
        users: Users that have rows of codes, U.
        opening: Tokens that the decoder reads, its start first.

    """

    model_type = "tokenrec"

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        t5: dict[str, Any] | None = None,
        items: int = 1,
        users: int = 1,
        opening: Sequence[int] = (0,),
        **kwargs: Any,
    ) -> None:
        self.settings = settings or {}
        self.t5 = t5 or {}
        self.items = items
        self.users = users
        self.opening = list(opening)
        super().__init__(**kwargs)
