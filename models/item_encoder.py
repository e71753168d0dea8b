"""The Item LLM: an item's text in, one vector out (arXiv 2402.09543, hierarchical structure)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    T5Config,
)

from models.backbones import Role, new_backbone
from models.shards import in_shards

UNTITLED = "unknown item"
"""What an item without any text is read as."""

CHUNK = 512
"""Items encoded at a time when the whole catalogue is."""

TRAINED_CHUNK = 256
"""Items encoded at a time of a batch: short titles are many, and a long one must not make all others pay for it."""


class Pooling(StrEnum):
    """How token states become one vector."""

    MEAN = "mean"
    LAST = "last"


def reading_role(config: PretrainedConfig) -> Role:
    """Tell how a backbone reads: both ways (BERT, a T5 encoder) or the past only (Llama, GPT-2)."""
    if isinstance(config, T5Config) or config.is_encoder_decoder or type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        return Role.ENCODER
    return Role.CAUSAL if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else Role.ENCODER


def tokenise_items(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[Tensor, Tensor]:
    """Turn n item texts into ``tokens`` and ``mask``, both int64 [n + 1, T]; row 0 is padding's.

    Every row holds at least one token, so that every item has a vector.
    """
    return tokenise([UNTITLED, *texts], tokenizer, max_tokens)


def tokenise(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[Tensor, Tensor]:
    """Turn texts into ``tokens`` and ``mask``, both int64 [n, T], at least one token each."""
    encoded = tokenizer(
        [text or UNTITLED for text in texts],
        max_length=max_tokens,
        truncation=True,
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    return encoded["input_ids"], encoded["attention_mask"]


class ItemEncoder(nn.Module):
    """A transformers text model, pooled over tokens.

    Args:
        config: The text model's configuration.
        pooling: Mean over real tokens, or the last real token.

    """

    def __init__(self, config: PretrainedConfig, pooling: Pooling) -> None:
        super().__init__()
        self.role = reading_role(config)
        self.backbone = new_backbone(config, self.role)
        self.pooling = pooling
        self.width: int = config.hidden_size

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Encode items: ``tokens`` and ``mask`` int64 [N, T] to vectors [N, D]."""
        longest = int(mask.sum(1).max())
        tokens, mask = tokens[:, :longest], mask[:, :longest]
        states: Tensor = self.backbone(input_ids=tokens, attention_mask=mask).last_hidden_state  # [N, T, D]
        if self.pooling is Pooling.LAST:
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        weights = mask[:, :, None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    def encode_all(self, tokens: Tensor, mask: Tensor, chunk: int = CHUNK) -> Tensor:
        """Encode many items, similar lengths together so that little is padded; [N, T] to [N, D]."""
        order = mask.sum(1).argsort()
        parts = in_shards(order.split(chunk), lambda rows: self(tokens[rows], mask[rows]))
        return torch.cat(parts)[order.argsort()]
